import Metadata
import Synchronization

/// Which instances are asked now by their APIs, and which are next: few at a time, and fewer still of one workspace, so
/// that one that does not answer delays no other.
final class Questions: Sendable {
  enum Question: Sendable {
    /// Does it run again? With the number of probes that found it not running.
    case probe(Connection, failures: Int)
    /// Does it sleep? A periodic sync is no reason to wake it.
    case sync(Connection)
    /// As before a sync.
    case sweep(Connection)

    var connection: Connection {
      switch self {
      case .probe(let connection, _), .sync(let connection), .sweep(let connection): connection
      }
    }
  }

  private struct State {
    var waiting: [Question] = []
    var underWay: [Question] = []
  }

  private let state = Mutex(State())
  private let most: Int
  private let mostOfWorkspace: Int

  init(most: Int, mostOfWorkspace: Int) {
    self.most = most
    self.mostOfWorkspace = mostOfWorkspace
  }

  /// Replaces what waits by what is due now, the most urgent first.
  func offer(_ due: [Question]) { state.withLock { $0.waiting = due } }

  /// The next question to ask, which is under way from now on; nil if nothing waits or enough is under way.
  func next() -> Question? {
    state.withLock { state in
      guard state.underWay.count < most else { return nil }
      let asked = state.underWay.map(\.connection)
      let index = state.waiting.firstIndex { question in
        let (id, workspace) = (question.connection.id, question.connection.workspaceURL)
        if asked.contains(where: { $0.id == id }) { return false }
        return workspace == nil || asked.filter { $0.workspaceURL == workspace }.count < mostOfWorkspace
      }
      guard let index else { return nil }
      let question = state.waiting.remove(at: index)
      state.underWay.append(question)
      return question
    }
  }

  /// The question was answered, or given up; what waits of the same connection was due before that.
  func end(_ question: Question) {
    state.withLock { state in
      state.underWay.removeAll { $0.connection.id == question.connection.id }
      state.waiting.removeAll { $0.connection.id == question.connection.id }
    }
  }
}
