import ArgumentParser
import Governance

/// Reads paths given as arguments, so that what is wrong with one is told by its part.
enum PathText {
  static func parse(_ text: String) throws -> SecurablePath {
    do {
      return try SecurablePath(text)
    } catch {
      throw ValidationError(error.message)
    }
  }
}
