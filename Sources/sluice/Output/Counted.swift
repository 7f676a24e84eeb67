/// A number with what it counts, in the singular where it is one.
enum Counted {
  /// - Parameter plural: the singular with an `s` unless given.
  static func text(_ count: Int, _ singular: String, _ plural: String? = nil) -> String {
    "\(count) \(count == 1 ? singular : plural ?? singular + "s")"
  }
}
