import Enforcement
import Governance
import Metadata
import SluiceTestKit
import Synchronization
import Testing

/// The ways between direct grants and audiences: what a user may do does not depend on the form, at any moment.
@Suite(.timeLimit(.minutes(4)))
struct PromotionTests {
  @Test func threeThousandUsersReadOneTable() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let users = try await bench.addUsers(3_000)
      try await bench.subscribeAll(users, to: "sales.orders")
      let jobs = try await bench.drain()
      #expect(jobs.allSatisfy { $0.state == .completed }, "\(jobs.compactMap(\.error).first ?? "")")
      #expect(try await bench.refused(users, "sales.orders") == 0)
      #expect(try await bench.granteeCount("sales.orders") <= 4)
    }
  }

  @Test func nobodyIsRefusedWhileATableIsPromotedAndDemoted() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let users = try await bench.addUsers(250)
      let (first, more) = (Array(users[..<150]), Array(users[150...]))
      try await bench.subscribeAll(first, to: "sales.orders")
      try await bench.drain()
      #expect(try await bench.audienceRoles() == [])
      #expect(try await bench.granteeCount("sales.orders") > 150)

      try await bench.readingBy(first, "sales.orders") {
        try await bench.subscribeAll(more, to: "sales.orders")
        try await bench.compare(.database)
        try await bench.drain()
      }
      #expect(try await bench.refused(users, "sales.orders") == 0)
      #expect(try await bench.granteeCount("sales.orders") <= 4)
      let audience = try #require(try await bench.audienceRoles().first)
      #expect(try await bench.target.grants(to: users[0]) == [])

      try await bench.readingBy(Array(first[..<90]), "sales.orders") {
        try await bench.revokeAll(Array(users[90...]), from: "sales.orders")
        try await bench.compare(.roles)
        try await bench.drain()
      }
      #expect(try await bench.refused(users, "sales.orders") == 160)
      #expect(try await bench.target.roleExists(audience) == false)
      #expect(try await bench.audienceRoles() == [])
      #expect(try await bench.target.grants(to: users[0]).contains("table sales.orders SELECT"))
    }
  }

  @Test func subscribersOfAPromotedTableComeAndGoAsMembers() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let users = try await bench.addUsers(201)
      try await bench.subscribeAll(users, to: "sales.orders")
      try await bench.drain()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      #expect(try await bench.target.canRead(ana, "sales.orders"))
      #expect(try await bench.target.grants(to: ana) == [])
      let before = try await bench.target.catalogVersions()
      try await bench.sync()
      #expect(try await bench.target.catalogVersions() == before, "a second look writes nothing")
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      #expect(try await bench.target.canWrite(ana, "sales.orders"))
      try await bench.revoke(ana, from: ["sales.orders"])
      try await bench.drain()
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      #expect(try await bench.refused(users, "sales.orders") == 0)
    }
  }

  @Test func aGuardrailTakesSubscribersOutOfAPromotedTable() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let users = try await bench.addUsers(260)
      try await bench.subscribeAll(users, to: "sales.orders")
      try await bench.drain()
      try await bench.addGroup("cleared", Array(users[..<210]))
      try await bench.applyPolicy("cleared", "'cleared' in user.groups", schema: "sales", effect: .guardrail)
      try await bench.evaluate()
      #expect(try await bench.refused(users, "sales.orders") == 50)
      #expect(try await bench.refused(Array(users[..<210]), "sales.orders") == 0)
    }
  }

  @Test func anAudienceOfFewIsDirectAndNobodyIsRefusedWhenItGrowsAndShrinks() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let users = try await bench.addUsers(20)
      try await bench.addGroup("analysts", [users[0]])
      try await bench.applyPolicy("analysts-read", "'analysts' in user.groups", schema: "sales", table: "orders")
      try await bench.evaluate()
      let role = try #require(try await bench.audienceRoles().first)
      #expect(try await bench.target.roleExists(role) == false)
      #expect(try await bench.target.grants(to: users[0]).contains("table sales.orders SELECT"))

      try await bench.readingBy([users[0]], "sales.orders") {
        try await bench.joinGroup("analysts", Array(users[1...]))
        try await bench.storeAudiences()
        try await bench.compare(.database)
        try await bench.drain()
      }
      #expect(try await bench.target.grants(to: role).contains("table sales.orders SELECT"))
      #expect(try await bench.target.grants(to: users[0]) == [])
      #expect(try await bench.refused(users, "sales.orders") == 0)

      try await bench.readingBy([users[0]], "sales.orders") {
        for user in users[1...] { try await bench.leaveGroup("analysts", user) }
        try await bench.storeAudiences()
        try await bench.compare(.roles)
        try await bench.drain()
      }
      #expect(try await bench.target.roleExists(role) == false)
      #expect(try await bench.refused(users, "sales.orders") == 19)

      try await bench.leaveGroup("analysts", users[0])
      try await bench.evaluate()
      #expect(try await bench.target.grants(to: users[0]) == [])
    }
  }

  @Test func whatDoesNotFitTheRoleBudgetIsDeniedAndReportedUntilThereIsRoom() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let users = try await bench.addUsers(210)
      try await bench.addGroup("analysts", users)
      try await bench.applyPolicy("analysts-read", "'analysts' in user.groups", schema: "sales")
      try await bench.setRoleBudget(0)
      let jobs = try await bench.evaluate()
      #expect(try await bench.refused(users, "sales.orders") == 210)
      let evaluation = try #require(jobs.first { $0.kind == .evaluate })
      #expect(evaluation.result?.contains(#""unplaced": [["analysts-read"]]"#) == true, "\(evaluation.result ?? "")")
      try await bench.setRoleBudget(1)
      try await bench.evaluate()
      #expect(try await bench.refused(users, "sales.orders") == 0)
      try await bench.setRoleBudget(0)
      try await bench.evaluate()
      #expect(try await bench.refused(users, "sales.orders") == 210)
      let role = try #require(try await bench.audienceRoles().first)
      #expect(try await bench.target.roleExists(role) == false)
    }
  }
}
