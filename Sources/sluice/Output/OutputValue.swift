import Foundation
import Platform

/// One value of an answer, as every output form knows how to write it.
enum OutputValue: Sendable, Equatable {
  case null
  case text(String)
  case integer(Int64)
  case number(Double)
  case bool(Bool)
  /// Seconds, also in a table: `90s`, `1.5s`.
  case duration(Duration)
  case list([OutputValue])
  case record(OutputRecord)

  static func optional(_ text: String?) -> OutputValue { text.map(OutputValue.text) ?? .null }
  static func optional(_ value: Int64?) -> OutputValue { value.map(OutputValue.integer) ?? .null }
  static func optional(_ value: Duration?) -> OutputValue { value.map(OutputValue.duration) ?? .null }
  static func optional(_ count: Int?) -> OutputValue { optional(count.map(Int64.init)) }
  static func count(_ value: Int) -> OutputValue { .integer(Int64(value)) }
  static func texts(_ texts: some Sequence<String>) -> OutputValue { .list(texts.map(OutputValue.text)) }

  /// A document kept as JSON, such as the result of a job; text that is no JSON stays text.
  static func parsed(json text: String?) -> OutputValue {
    guard let text else { return .null }
    do {
      return try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8)).value
    } catch {
      return .text(text)
    }
  }

  /// How a cell of a table shows it: on one line, nothing for null.
  var cell: String {
    switch self {
    case .null: ""
    case .text(let text): text.unicodeScalars.map { $0.properties.generalCategory == .control ? "·" : "\($0)" }.joined()
    case .integer(let value): "\(value)"
    case .number(let value): value.formatted(.number.precision(.fractionLength(0...1)).grouping(.never))
    case .bool(let value): value ? "yes" : "no"
    case .duration(let duration): OutputValue.number(duration.inSeconds).cell + "s"
    case .list(let values): values.map(\.cell).joined(separator: ", ")
    case .record(let record): record.fields.map { "\($0.name)=\($0.value.cell)" }.joined(separator: " ")
    }
  }
}

/// Named values in the order in which people read them. Names are snake_case and part of the contract.
struct OutputRecord: Sendable, Equatable, ExpressibleByDictionaryLiteral {
  struct Field: Sendable, Equatable {
    let name: String
    let value: OutputValue
  }
  typealias Key = String
  typealias Value = OutputValue

  var fields: [Field]

  init(_ fields: [Field]) { self.fields = fields }
  init(dictionaryLiteral elements: (String, OutputValue)...) {
    fields = elements.map { Field(name: $0.0, value: $0.1) }
  }

  subscript(_ name: String) -> OutputValue? { fields.first { $0.name == name }?.value }
}

extension OutputValue: Encodable {
  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .text(let text): try container.encode(text)
    case .integer(let value): try container.encode(value)
    // Of a rate nobody wants fifteen digits.
    case .number(let value): try container.encode((value * 1000).rounded() / 1000)
    case .bool(let value): try container.encode(value)
    case .duration(let duration): try container.encode(duration.inSeconds)
    case .list(let values): try container.encode(values)
    case .record(let record): try container.encode(record)
    }
  }
}

extension OutputRecord: Encodable {
  private struct FieldName: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: FieldName.self)
    for field in fields { try container.encode(field.value, forKey: FieldName(stringValue: field.name)) }
  }
}

/// Reads any JSON; the keys of objects are sorted, because JSON gives them no order.
private struct JSONValue: Decodable {
  let value: OutputValue

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    // best effort: JSON says what it is only by what it can be decoded as, so each is tried in turn
    if container.decodeNil() {
      value = .null
    } else if let bool = try? container.decode(Bool.self) {  // best effort: see above
      value = .bool(bool)
    } else if let integer = try? container.decode(Int64.self) {  // best effort: see above
      value = .integer(integer)
    } else if let number = try? container.decode(Double.self) {  // best effort: see above
      value = .number(number)
    } else if let text = try? container.decode(String.self) {  // best effort: see above
      value = .text(text)
    } else if let list = try? container.decode([JSONValue].self) {  // best effort: see above
      value = .list(list.map(\.value))
    } else {
      let object = try container.decode([String: JSONValue].self)
      value = .record(
        OutputRecord(object.sorted { $0.key < $1.key }.map { OutputRecord.Field(name: $0.key, value: $0.value.value) }))
    }
  }
}
