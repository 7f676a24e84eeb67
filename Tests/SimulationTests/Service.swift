import Platform

/// A server of the simulation, and the way to it.
///
/// `@unchecked`: see `World`.
class Service: @unchecked Sendable {
  let world: World
  let name: String
  var isUp = true

  init(_ name: String, in world: World) {
    self.name = name
    self.world = world
  }

  /// A call from a process: it takes effect at one instant between question and answer, unless something goes wrong.
  ///
  /// - Parameters:
  ///   - lost: what the caller gets when there is no answer; the call may or may not have taken effect
  ///   - cancelled: what a cancelled caller gets; likewise
  func call<Value: Sendable, Failure: Error>(
    _ what: String, from process: SimulatedProcess, lost: Failure, cancelled: Failure, repeats: Bool = false,
    _ effect: @escaping @Sendable () throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    if Task.isCancelled { throw cancelled }
    let reply = Reply<Result<Value, Failure>>()
    let timeout = Int.seconds(5)
    let (delay, isLost) = (drawDelay(), world.happens(world.faults.lostRequest))
    let isLate = world.happens(world.faults.lateRequest)
    if !isLost {
      let arrival = isLate ? timeout + world.draw(0...(.seconds(40))) : delay
      world.after(arrival) { self.arrive(what, process, reply, lost, effect) }
      if repeats, world.happens(world.faults.repeated) {
        world.after(arrival + world.draw(0...(.seconds(40)))) {
          self.arrive(what + " again", process, Reply(), lost, effect)
        }
      }
    }
    world.after(world.happens(0.5) ? timeout : min(timeout, delay * 2 + 1)) {
      if isLost || isLate { reply.set(.failure(lost)) }
    }
    world.after(timeout) { reply.set(.failure(lost)) }
    return try await reply.get(orWhenCancelled: .failure(cancelled)).get()
  }

  private func arrive<Value: Sendable, Failure: Error>(
    _ what: String, _ process: SimulatedProcess, _ reply: Reply<Result<Value, Failure>>, _ lost: Failure,
    _ effect: () throws(Failure) -> Value
  ) {
    let result: Result<Value, Failure>
    if isUp {
      do throws(Failure) { result = .success(try effect()) } catch { result = .failure(error) }
    } else {
      result = .failure(lost)
    }
    world.note("\(process.name) \(name) \(what): \(Self.text(of: result))")
    if world.happens(world.faults.mishap) { world.mishap(process) }
    if world.happens(world.faults.lostReply) { return }
    world.after(drawDelay()) { reply.set(result) }
  }

  /// Sets and dictionaries have another order each time, so what is in them is told where it happens.
  private static func text<Value, Failure>(of result: Result<Value, Failure>) -> String {
    switch result {
    case .success(let value): value is Bool || value is Int ? "\(value)" : "done"
    case .failure(let error): "\(error)"
    }
  }

  private func drawDelay() -> Int {
    world.happens(world.faults.slow) ? world.draw(0...world.faults.slowest) : world.draw(100...(.milliseconds(3)))
  }
}
