/// The text of a statement that is kept in a file of its own and embedded in a module (`PackageResources`).
package func statement(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
