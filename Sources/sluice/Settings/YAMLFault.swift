import Yams

/// What is wrong with a YAML text, as `file:line:column: …`, without quoting the text itself.
struct YAMLFault: CustomStringConvertible {
  let description: String

  init(_ error: any Error, file: String) {
    switch error {
    case YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _),
      YamlError.composer(_, let problem, let mark, _):
      description = "\(file):\(mark.line):\(mark.column): \(problem)"
    case YamlError.duplicatedKeysInMapping(let duplicates, let context):
      let names = duplicates.map { "\"\($0)\"" }.sorted().joined(separator: ", ")
      description = "\(file):\(context.mark.line):\(context.mark.column): the key \(names) is given more than once"
    case YamlError.reader(let problem, let offset, _, _):
      description = "\(file): \(problem)" + (offset.map { " at byte \($0)" } ?? "")
    default: description = "\(file): not YAML: \(error)"
    }
  }
}
