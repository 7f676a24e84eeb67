import Foundation
import Governance
import Yams

/// Policy documents in YAML: several in a file, several files in a directory, all faults told at once.
struct PolicyFiles {
  /// The largest policy file that is read, in bytes.
  static let sizeLimit = 1 << 20

  private(set) var policies: [SubscriptionPolicy] = []
  private(set) var faults: [String] = []
  /// Where each name was defined first.
  private var places: [String: String] = [:]

  /// Reads a file, or the `.yaml` and `.yml` files of a directory in the order of their names.
  ///
  /// - Throws: every fault of every file, each as `file:line:column: …`; then nothing of them is to be used.
  static func read(_ path: String) throws -> [SubscriptionPolicy] {
    if path == "-" { return try readStandardInput() }
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw CommandFailure.notFound("there is no file or directory \(path)")
    }
    var files = PolicyFiles()
    if isDirectory.boolValue {
      let names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
      for name in names where name.hasSuffix(".yaml") || name.hasSuffix(".yml") { files.add(file: "\(path)/\(name)") }
    } else {
      files.add(file: path)
    }
    try files.requireNoFaults()
    guard !files.policies.isEmpty else {
      let advice = isDirectory.boolValue ? "; only its own .yaml and .yml files are read" : ""
      throw CommandFailure.refused(
        "\(path) holds no policy document\(advice); to delete a policy: sluice policy delete NAME")
    }
    return files.policies
  }

  private static func readStandardInput() throws -> [SubscriptionPolicy] {
    let name = "standard input"
    let data: Data
    do { data = try FileHandle.standardInput.read(upToCount: sizeLimit + 1) ?? Data() } catch {
      throw CommandFailure.refused("cannot read \(name): \(FileFault.reason(of: error))")
    }
    var files = PolicyFiles()
    files.add(data: data, file: name)
    try files.requireNoFaults()
    guard !files.policies.isEmpty else { throw CommandFailure.refused("\(name) holds no policy document") }
    return files.policies
  }

  private func requireNoFaults() throws {
    guard faults.isEmpty else {
      throw CommandFailure.refused((faults + ["no policy was applied"]).joined(separator: "\n"))
    }
  }

  mutating func add(file: String) {
    add(data: FileManager.default.contents(atPath: file), file: file)
  }

  private mutating func add(data: Data?, file: String) {
    guard let data, data.count <= Self.sizeLimit, let text = String(validating: data, as: UTF8.self) else {
      faults.append("\(file): cannot be read as UTF-8 text of at most \(Self.sizeLimit) bytes")
      return
    }
    add(text: text, file: file)
  }

  mutating func add(text: String, file: String) {
    do {
      let parser = try Parser(yaml: text)
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      while let root = try parser.nextRoot() { add(root, file: file, lines) }
    } catch {
      faults.append(YAMLFault(error, file: file).description)
    }
  }

  private mutating func add(_ root: Node, file: String, _ lines: [Substring]) {
    var reader = PolicyNodeReader()
    let node = reader.node(root)
    // A document of comments alone, as before the first `---`.
    if case .null = node.value { return }
    if reader.isTooLarge {
      faults.append("\(file):\(node.position.line): the document has more than \(PolicyNodeReader.nodeLimit) parts")
      return
    }
    do throws(PolicyError) {
      let policy = try SubscriptionPolicy(document: node)
      let place = "\(file):\(node.position.line)"
      if let first = places[policy.name] {
        faults.append("\(place): the policy \"\(policy.name)\" is defined at \(first) already")
      } else {
        places[policy.name] = place
        policies.append(policy)
      }
    } catch {
      faults += error.faults.map { Self.text($0, file: file, isBlock: reader.blocks.contains($0.position), lines) }
    }
  }

  /// - Parameter isBlock: whether the field is a block (`|`), whose text begins on the line below its position.
  private static func text(
    _ fault: PolicyError.Fault, file: String, isBlock: Bool, _ lines: [Substring]
  ) -> String {
    let field = fault.path.isEmpty ? "" : "\(fault.path): "
    let (line, column) = (fault.position.line, fault.position.column)
    if isBlock, let inner = fault.message.prefixMatch(of: #/in the expression, line (\d+), column (\d+): /#),
      let (down, right) = Int(inner.1).flatMap({ down in Int(inner.2).map { (down, $0) } })
    {
      let indentation = lines.dropFirst(line).first { $0.contains { $0 != " " } }?.prefix { $0 == " " }.count ?? 0
      return "\(file):\(line + down):\(indentation + right): \(field)\(fault.message[inner.range.upperBound...])"
    }
    return "\(file):\(line):\(column): \(field)\(fault.message)"
  }
}

/// Turns YAML nodes into the neutral form that Governance reads.
///
/// Only what YAML 1.2 calls so is a boolean, a number or null: a group named `on` or `no` stays text.
struct PolicyNodeReader {
  /// Parts of one document; aliases can blow a small text up beyond it.
  static let nodeLimit = 10_000

  private var count = 0
  /// Where literal blocks stand.
  private(set) var blocks: Set<TextPosition> = []
  var isTooLarge: Bool { count > Self.nodeLimit }

  mutating func node(_ node: Node) -> PolicyNode {
    count += 1
    let position = TextPosition(line: node.mark?.line ?? 1, column: node.mark?.column ?? 1)
    if isTooLarge { return PolicyNode(.null, at: position) }
    switch node {
    case .scalar(let scalar):
      if scalar.style == .literal { blocks.insert(position) }
      return PolicyNode(Self.value(of: scalar), at: position)
    case .sequence(let items): return PolicyNode(.list(items.map { self.node($0) }), at: position)
    case .mapping(let pairs):
      let entries = pairs.map { key, value in
        PolicyNode.Entry(
          key: key.string ?? "", position: TextPosition(line: key.mark?.line ?? 1, column: key.mark?.column ?? 1),
          node: self.node(value))
      }
      return PolicyNode(.map(entries), at: position)
    case .alias: return PolicyNode(.null, at: position)
    }
  }

  private static func value(of scalar: Node.Scalar) -> PolicyNode.Value {
    guard scalar.style == .plain else { return .string(scalar.string) }
    switch scalar.string {
    case "", "~", "null", "Null", "NULL": return .null
    case "true", "True", "TRUE": return .bool(true)
    case "false", "False", "FALSE": return .bool(false)
    default: return Int64(scalar.string).map(PolicyNode.Value.int) ?? .string(scalar.string)
    }
  }
}
