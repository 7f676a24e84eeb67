/// Why the stand-in could not start.
package struct StandInError: Error, Sendable, CustomStringConvertible {
  package enum Code: Sendable { case certificates, listening, bootstrap, unknownInstance }
  package let code: Code
  package let message: String

  package var description: String { message }
}
