/// Text that is equal only where its code points are.
///
/// Swift's `String` holds "é" and "e" with a combining accent for equal. PostgreSQL and CEL do not: to them those are
/// two roles, two tables, two values. Whatever decides about access compares through this type.
package struct ExactText: Sendable, Hashable, Comparable, ExpressibleByStringLiteral, CustomStringConvertible {
  package let value: String

  package init(_ value: String) { self.value = value }
  package init(stringLiteral value: String) { self.value = value }

  package var description: String { value }

  package static func == (left: ExactText, right: ExactText) -> Bool {
    left.value.utf8.elementsEqual(right.value.utf8)
  }

  /// Order of the code points, which is the order of their UTF-8 bytes.
  package static func < (left: ExactText, right: ExactText) -> Bool {
    left.value.utf8.lexicographicallyPrecedes(right.value.utf8)
  }

  package func hash(into hasher: inout Hasher) {
    var text = value
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    hasher.combine(0xFF as UInt8)
  }
}

extension [String] {
  /// Each text once, in the order of the code points.
  package var exactlySorted: [String] { Set(map { ExactText($0) }).sorted().map(\.value) }
}
