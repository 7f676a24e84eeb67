import ArgumentParser

/// What the parser does not know about asking for help.
enum HelpWords {
  /// `help` below a group of commands, as `sluice connection help register`, means what `--help` does.
  static func understood(_ arguments: [String]) -> [String] {
    guard let place = arguments.firstIndex(of: "help"), place > 0 else { return arguments }
    var path = Array(arguments[..<place])
    guard let group = command(at: path), !subcommands(of: group).isEmpty else { return arguments }
    for word in arguments[(place + 1)...] where command(at: path + [word]) != nil { path.append(word) }
    return path + ["--help"]
  }

  /// An unknown option such as `-dash`, which the parser takes for `-d -a -s -h` and answers with help.
  static func misspelled(_ arguments: [String]) -> String? {
    arguments.prefix { $0 != "--" }.first { word in
      word.count > 2 && word.hasPrefix("-") && !word.hasPrefix("--") && word.contains("h") && word != "-help"
        && word.dropFirst().allSatisfy(\.isLetter)
    }
  }

  /// A negative number, which the parser takes for an option.
  static func negative(_ arguments: [String]) -> String? {
    arguments.prefix { $0 != "--" }.first {
      $0.hasPrefix("-") && $0.dropFirst().first?.isNumber == true && Double($0) != nil
    }
  }

  private static func subcommands(of command: any ParsableCommand.Type) -> [any ParsableCommand.Type] {
    command.configuration.subcommands + command.configuration.groupedSubcommands.flatMap(\.subcommands)
  }

  private static func command(at path: [String]) -> (any ParsableCommand.Type)? {
    var command: any ParsableCommand.Type = Sluice.self
    for word in path {
      guard let next = subcommands(of: command).first(where: { $0._commandName == word }) else { return nil }
      command = next
    }
    return command
  }
}
