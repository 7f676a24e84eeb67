import ArgumentParser
import Foundation

/// The form of the answer on standard output.
enum OutputForm: String, Sendable, CaseIterable, ExpressibleByArgument {
  /// Columns for people.
  case table
  /// One document.
  case json
  /// One object a line.
  case jsonl
}

struct OutputOptions: ParsableArguments {
  @Option(name: [.short, .long], help: "table for people, json for one document, jsonl for one object a line.")
  var output: OutputForm = .table

  var printer: Output { Output(form: output) }
}

/// Writes answers to standard output; everything else (progress, warnings) goes to standard error.
struct Output: Sendable {
  let form: OutputForm
  private let write: @Sendable (String) throws -> Void

  init(form: OutputForm, write: @escaping @Sendable (String) throws -> Void = Output.standardOutput) {
    self.form = form
    self.write = write
  }

  /// Several records of one kind.
  ///
  /// - Parameters:
  ///   - columns: the columns of the table, where it shows fewer than the records hold; JSON always has all.
  ///   - empty: what people are told, on standard error, when there is nothing.
  func list(_ records: [OutputRecord], columns: [String]? = nil, empty: String = "nothing to show") throws {
    switch form {
    case .table where records.isEmpty: note(empty)
    case .table: try print(lines: Table(records, columns: columns).lines)
    case .json: try write(records.isEmpty ? "[]\n" : json(records, pretty: true) + "\n")
    case .jsonl: for record in records { try write(json(record, pretty: false) + "\n") }
    }
  }

  /// One record; lists of records in it become tables of their own beneath it.
  func item(_ record: OutputRecord) throws {
    switch form {
    case .table: try print(lines: Self.itemLines(record))
    case .json: try write(json(record, pretty: true) + "\n")
    case .jsonl: try write(json(record, pretty: false) + "\n")
    }
  }

  /// What was done: a sentence for people, a record for machines.
  func done(_ sentence: String, _ record: OutputRecord) throws {
    switch form {
    case .table: try write(sentence + "\n")
    case .json, .jsonl: try item(record)
    }
  }

  /// A sentence on standard error, for people; silent where a machine reads the answer.
  func note(_ text: String) {
    if form == .table { Output.standardError(text + "\n") }
  }

  private func print(lines: [String]) throws { try write(lines.map { $0 + "\n" }.joined()) }

  private static func itemLines(_ record: OutputRecord) -> [String] {
    var plain: [OutputRecord.Field] = []
    var nested: [(name: String, records: [OutputRecord])] = []
    for field in record.fields {
      if case .list(let values) = field.value, let records = records(values) {
        nested.append((field.name, records))
      } else {
        plain.append(field)
      }
    }
    let width = plain.map { $0.name.count }.max() ?? 0
    var lines = plain.map { field in
      let name = field.name.replacing("_", with: " ")
      let cell = field.value.cell
      return cell.isEmpty ? name : name.padding(toLength: width, withPad: " ", startingAt: 0) + "  " + cell
    }
    for (name, records) in nested {
      lines += ["", name.replacing("_", with: " ") + ":"] + Table(records).lines.map { "  " + $0 }
    }
    return lines
  }

  private static func records(_ values: [OutputValue]) -> [OutputRecord]? {
    let records = values.compactMap { value -> OutputRecord? in
      if case .record(let record) = value { return record }
      return nil
    }
    return records.isEmpty || records.count != values.count ? nil : records
  }

  /// Keys are sorted, so that the same answer is the same text.
  private func json(_ value: some Encodable, pretty: Bool) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if pretty { encoder.outputFormatting.insert(.prettyPrinted) }
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  static let standardOutput: @Sendable (String) throws -> Void = { text in
    try StandardStreams.write(text, to: STDOUT_FILENO, name: "standard output")
  }
  static let standardError: @Sendable (String) -> Void = { text in
    // best effort: nobody is left who could be told
    try? StandardStreams.write(text, to: STDERR_FILENO, name: "standard error")
  }
}
