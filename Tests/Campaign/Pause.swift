import Platform

/// Waits; a cancelled wait throws.
func pause(_ duration: Duration) async throws {
  // no event: faults last as long as their plan says, and other processes give no sign that could be awaited
  try await Task.sleep(for: duration)
}

/// Asks until the answer is yes, at most until `limit` has passed; false when it has.
func holds(within limit: Duration, every interval: Duration = .milliseconds(50), _ question: () async throws -> Bool)
  async throws -> Bool
{
  let deadline = Deadline.after(limit)
  while true {
    if try await question() { return true }
    if deadline.hasPassed { return false }
    try await pause(interval)
  }
}

/// Why a campaign could not be carried through: not a verdict on what it tests.
struct CampaignError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
