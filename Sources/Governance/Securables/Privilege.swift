/// A PostgreSQL privilege that Sluice grants. The raw value is the SQL keyword, as `aclexplode` spells it too.
package enum Privilege: String, Sendable, Hashable, CaseIterable, Comparable {
  case connect = "CONNECT"
  case usage = "USAGE"
  case select = "SELECT"
  case insert = "INSERT"
  case update = "UPDATE"
  case delete = "DELETE"
  case truncate = "TRUNCATE"

  package var keyword: String { rawValue }

  private var rank: Int {
    switch self {
    case .connect: 0
    case .usage: 1
    case .select: 2
    case .insert: 3
    case .update: 4
    case .delete: 5
    case .truncate: 6
    }
  }

  /// The order in which statements list them.
  package static func < (left: Privilege, right: Privilege) -> Bool { left.rank < right.rank }
}
