/// The sentences that a campaign holds the product to.
package enum CampaignRule: String, CaseIterable, Sendable {
  case nothingLost = "every submitted change is in the desired state"
  case nothingStale = "what every user can do with every table is what was asked for"
  case grantsAsDesired = "the managed grants in the target are those of the desired state, and no others"
  case nothingLeftBehind = "no role and no membership is left in the target that nothing asks for"
  case allSettled = "every job ends in a final state"
  case settledOnce = "every job has exactly one accepted final settlement"
  case noDeadLetters = "no job is discarded: nothing was wrong with the work"
  case noOpenKey = "no job that started keeps its open key"
  case queueDrained = "Redis holds nothing once all jobs have settled"
  case fencesRise = "the fences of a job and of a lane rise with every attempt"
  case attemptsForConflicts = "no attempt is spent on an outage"
  case revokesHold = "a revoke that was reported completed is never undone"
  case honest = "what is reported completed is in the target's catalog"
  case planIsEmpty = "sluice plan finds nothing left to do"
  case doctorIsContent = "sluice doctor finds no error once all is drained, and tells what is wrong before"
  case processesLive = "no process ends by itself"
  case sabotageIsSeen = "the campaign itself notices what is done behind Sluice's back"
  case drainsInTime = "everything drains within the limit once the faults are over"
}

/// A sentence that did not hold, and where.
package struct Violation: Sendable, Hashable, CustomStringConvertible {
  package let rule: CampaignRule
  package let detail: String

  package init(_ rule: CampaignRule, _ detail: String) {
    self.rule = rule
    self.detail = detail
  }

  package var description: String { "\(rule.rawValue): \(detail)" }
}
