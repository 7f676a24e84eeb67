import Foundation
import Glibc
import LocalServers
import Platform

/// A network namespace for one worker, joined to ours by a veth pair.
///
/// Nothing of it can be left behind: it has no name, lives as long as the process that holds it (which ends with this
/// one), and is only made when we are in a private namespace ourselves.
actor NetworkLink {
  /// Where the servers are reached, from both sides. It is no address of the link itself, so that it stays when the
  /// link is down, and packets from the other side vanish rather than being refused.
  static let serverAddress = "10.77.1.1"
  private static let (near, far) = ("10.77.0.1", "10.77.0.2")
  private static let (nearEnd, farEnd) = ("slnear", "slfar")
  private static let toolLimit: Duration = .seconds(10)
  private static let delayText = "150ms"

  private let holder: ManagedProcess
  /// Words before a command that is to run on the other side; it keeps its process id.
  nonisolated let entrance: [String]
  private(set) var canDelay = false

  private init(holder: ManagedProcess) {
    self.holder = holder
    entrance = ["nsenter", "--net=/proc/\(holder.pid)/ns/net", "--"]
  }

  /// True in a network namespace that has nothing but a loopback interface, and where we may make interfaces.
  static var isPossible: Bool {
    guard geteuid() == 0, let table = FileManager.default.contents(atPath: "/proc/self/net/dev") else { return false }
    let interfaces = String(decoding: table, as: UTF8.self).split(separator: "\n").dropFirst(2)
    return interfaces.allSatisfy { $0.trimmingCharacters(in: .whitespaces).hasPrefix("lo:") }
  }

  static func make() async throws -> NetworkLink {
    try await run(["ip", "link", "set", "lo", "up"])
    let holder = try await ManagedProcess.start(
      Launch("unshare", ["--net", "sleep", "infinity"], deathSignal: .kill))
    let ours = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/net")
    let isApart = try await holds(within: toolLimit, every: .milliseconds(10)) {
      // best effort: until it has become `sleep` there may be nothing to read
      guard let its = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(holder.pid)/ns/net")
      else { return false }
      return its != ours
    }
    guard isApart else { throw CampaignError("unshare made no network namespace") }
    let link = NetworkLink(holder: holder)
    do { try await link.join() } catch {
      await link.remove()
      throw error
    }
    return link
  }

  private func join() async throws {
    try await Self.run(
      ["ip", "link", "add", Self.nearEnd, "type", "veth", "peer", "name", Self.farEnd, "netns", "\(holder.pid)"])
    try await Self.run(["ip", "address", "add", "\(Self.near)/24", "dev", Self.nearEnd])
    try await Self.run(["ip", "address", "add", "\(Self.serverAddress)/32", "dev", "lo"])
    try await mend()
    for words in [
      ["address", "add", "\(Self.far)/24", "dev", Self.farEnd], ["link", "set", Self.farEnd, "up"],
      ["link", "set", "lo", "up"], ["route", "add", "\(Self.serverAddress)/32", "via", Self.near],
    ] { try await Self.run(entrance + ["ip"] + words) }
    // best effort: what fails here is told as a fault that this place does not permit
    canDelay = (try? await delay()) != nil
    if canDelay { try await hurry() }
  }

  /// Ends the namespace, and with it the pair.
  func remove() async { await holder.stop(signal: SIGKILL) }

  func cut() async throws { try await Self.run(["ip", "link", "set", Self.nearEnd, "down"]) }

  func mend() async throws { try await Self.run(["ip", "link", "set", Self.nearEnd, "up"]) }

  func delay() async throws {
    try await Self.run(["tc", "qdisc", "add", "dev", Self.nearEnd, "root", "netem", "delay", Self.delayText])
  }

  func hurry() async throws { try await Self.run(["tc", "qdisc", "del", "dev", Self.nearEnd, "root"]) }

  private static func run(_ words: [String]) async throws {
    let run = try await ToolRun.run(
      Launch(words[0], Array(words.dropFirst()), environment: Launch.bareEnvironment()), deadline: .after(toolLimit))
    guard run.status.isSuccess else {
      throw CampaignError("\(words.joined(separator: " ")): \(run.status): \(run.output)")
    }
  }
}
