import Metadata
import Platform
import Postgres

/// Sessions that rest in targets between two batches of one database, because a login costs more than a small batch: 5 to
/// 15 ms with TLS, and more where a gateway asks who it is.
///
/// They rest for a moment only. An instance that sleeps when nobody is connected must be able to, and DROP DATABASE and
/// ALTER DATABASE RENAME wait no longer than five seconds for sessions to go.
actor RestingSessions {
  /// Where a session leads, and as whom.
  private struct Place: Hashable {
    let connection: Int64
    let endpoint: String
    let user: String

    init(_ session: PostgresConnection, of connection: Connection) {
      self.init(connection.id, session.configuration)
    }

    init(_ connection: Int64, _ configuration: PostgresConfiguration) {
      self.connection = connection
      endpoint = "\(configuration.hostAddress ?? "") \(configuration.endpoint)"
      user = configuration.user
    }
  }

  private struct Resting {
    let session: PostgresConnection
    let number: UInt64
    let timer: Task<Void, any Error>
  }

  /// How long a session may take to show that it still answers, before another one is opened.
  private static let answer: Duration = .seconds(2)

  private let longest: Duration
  private var resting: [Place: Resting] = [:]
  private var last: UInt64 = 0

  /// - Parameter longest: how long a session rests at most; zero keeps none
  init(longest: Duration) { self.longest = longest }

  /// A session that leads there, if one rests and answers.
  func take(_ configuration: PostgresConfiguration, of connection: Connection) async -> PostgresConnection? {
    guard let found = resting.removeValue(forKey: Place(connection.id, configuration)) else { return nil }
    found.timer.cancel()
    do throws(PostgresError) {
      _ = try await found.session.query("select", deadline: .after(Self.answer))
      return found.session
    } catch {
      await found.session.close()
      return nil
    }
  }

  /// Lets a session rest, or closes it: if its last batch left it in a transaction, or one rests there already.
  func giveBack(_ session: PostgresConnection, of connection: Connection) async {
    let place = Place(session, of: connection)
    guard longest > .zero, await session.isUsable, resting[place] == nil else { return await session.close() }
    last += 1
    let number = last
    // Outlives the batch by no more than the rest, and ends with it.
    let timer = Task { [longest] in
      try await Task.sleep(for: longest)
      await self.close(place, number)
    }
    resting[place] = Resting(session: session, number: number, timer: timer)
  }

  /// Closes the sessions of a connection whose instance has stopped.
  func close(_ connection: Connection) async {
    for place in resting.keys where place.connection == connection.id {
      guard let found = resting.removeValue(forKey: place) else { continue }
      found.timer.cancel()
      await found.session.close()
    }
  }

  private func close(_ place: Place, _ number: UInt64) async {
    guard resting[place]?.number == number else { return }
    await resting.removeValue(forKey: place)?.session.close()
  }
}
