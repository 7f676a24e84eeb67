/// A Lakebase instance as the workspace API names it.
package enum InstanceReference: Sendable, Hashable, CustomStringConvertible {
  case provisioned(name: String)
  /// `projects/P/branches/B/endpoints/E`
  case autoscaling(endpoint: String)

  package var description: String {
    switch self {
    case .provisioned(let name): "instance \(name)"
    case .autoscaling(let endpoint): "endpoint \(endpoint)"
    }
  }
}
