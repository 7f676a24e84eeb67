import ArgumentParser
import Enforcement
import Governance
import Metadata

struct ExplainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain", abstract: "May a user read or write a data source, why, and what the target really allows.",
    discussion: """
      Policies are shown with what they say about this user; residual access is what Sluice did not grant and cannot \
      remove, with the route it comes by.

      Example: sluice explain ana prod/databricks_postgres/demo/marketing-data
      """)

  @Argument(help: "The user's name.") var user: String
  @Argument(help: .init("The data source.", valueName: "path"), transform: PathText.parse) var path: SecurablePath
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata(requiring: [.secretKeyFile]) { metadata, settings in
      let explanation = try await settings.withTargets(metadata) { targets in
        try await Explainer(metadata: metadata, targets: targets).explain(user: user, path: path)
      }
      try common.output.item(explanation.record)
    }
  }
}

extension Explanation {
  var record: OutputRecord {
    [
      "user": .text(user), "path": .text(path.description), "enabled": .bool(isEnabled), "role": .optional(role),
      "desired_access": .text(desired?.rawValue ?? "none"),
      "target_role_exists": target.map { .bool($0.roleExists) } ?? .null,
      "target_read": target.map { .bool($0.canRead) } ?? .null,
      "target_write": target.map { .bool($0.canWrite) } ?? .null, "target_problem": .optional(targetProblem),
      "subscription": subscription.map { .text(Self.summary(of: $0)) } ?? .null,
      "unplaced_policies": .texts(unplaced), "policies": .list(verdicts.map { .record(Self.record(of: $0)) }),
      "routes": .list((target?.routes ?? []).map { .record(Self.record(of: $0)) }),
      "residual_access": .list((target?.residual ?? []).map { .record(Self.record(of: $0)) }),
    ]
  }

  private static func summary(of subscription: Subscription) -> String {
    let until = subscription.expiresAt.map { " until \($0)" } ?? ""
    return subscription.access.rawValue + until + (subscription.barredBy.map { ", barred by \($0)" } ?? "")
  }

  private static func record(of verdict: PolicyVerdict) -> OutputRecord {
    let (outcome, reason): (String, String?) =
      switch verdict.outcome {
      case .admitted: ("admitted", nil)
      case .refused: ("refused", nil)
      case .undecided(let reason): ("undecided", reason)
      }
    return [
      "policy": .text(verdict.policy), "effect": .text(verdict.effect.rawValue),
      "access": .text(verdict.access.rawValue), "state": .text(verdict.isExpired ? "expired" : verdict.state.rawValue),
      "outcome": .text(outcome), "reason": .optional(reason),
    ]
  }

  private static func record(of access: ResidualAccess) -> OutputRecord {
    [
      "role": .text(access.role), "privileges": .text(access.privileges), "columns": .texts(access.columns ?? []),
      "route": .text(access.route), "object": .optional(access.object), "via": .optional(access.via),
      "how": .optional(access.how), "member_of": .optional(access.memberOf), "grantor": .optional(access.grantor),
      "effective": .bool(access.isEffective), "certain": .bool(access.isCertain),
    ]
  }
}
