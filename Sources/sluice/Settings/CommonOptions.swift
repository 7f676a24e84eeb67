import ArgumentParser

/// What every command takes.
struct CommonOptions: ParsableArguments {
  @OptionGroup(title: "Output") var outputOptions: OutputOptions
  @OptionGroup(title: "Settings") var settingOptions: SettingOptions

  var output: Output { outputOptions.printer }
}
