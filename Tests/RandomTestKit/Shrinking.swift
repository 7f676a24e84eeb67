/// Looks for few of the steps that a test failed after with which it fails as well: somebody has to read them.
package enum Shrinking {
  /// Leaves out ever smaller parts of the steps, the last ones first, and keeps out what is not needed for a failure.
  ///
  /// - Parameters:
  ///   - failure: how they fail
  ///   - time: how long fewer are looked for; a run that has begun is not ended
  ///   - run: runs steps, and says how they fail; nil if they do not
  package static func of<Step, Failure>(
    _ steps: [Step], failing failure: Failure, within time: Duration, _ run: ([Step]) async -> Failure?
  ) async -> (steps: [Step], failure: Failure) {
    let limit = ContinuousClock.now.advanced(by: time)
    var (steps, failure) = (steps, failure)
    var size = steps.count / 2
    while size > 0 {
      var end = steps.count
      while end > 0, ContinuousClock.now < limit {
        let start = max(0, end - size)
        let fewer = Array(steps[..<start] + steps[end...])
        if let found = await run(fewer) { (steps, failure) = (fewer, found) }
        end = start
      }
      size /= 2
    }
    return (steps, failure)
  }
}
