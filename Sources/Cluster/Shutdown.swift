import Platform
import ServiceLifecycle

extension Surroundings {
  /// Runs `body`, cancelled when the process begins to shut down.
  ///
  /// Not the lifecycle library's `cancelWhenGracefulShutdown`: that one needs two child tasks a call, and a third task
  /// outside of these surroundings when it is cancelled.
  func cancelledByShutdown(_ body: @escaping @Sendable () async -> Void) async {
    // Lives as long as this call, which awaits it; a task of its own, so that the shutdown cancels nothing else.
    let task = Task(executorPreference: executor) { await body() }
    await withTaskCancellationOrGracefulShutdownHandler {
      await task.value
    } onCancelOrGracefulShutdown: {
      task.cancel()
    }
  }
}
