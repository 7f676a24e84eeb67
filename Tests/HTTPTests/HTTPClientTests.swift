import HTTP
import NIOCore
import NIOPosix
import Platform
import Testing

@Suite("HTTP client", .timeLimit(.minutes(1)))
struct HTTPClientTests {
  private func withServer<Value>(
    _ answer: @escaping @Sendable (String) -> ScriptedServer.Answer,
    _ body: (ScriptedServer) async throws -> Value
  ) async throws -> Value {
    let server = try await ScriptedServer.start(answer)
    let value: Value
    do { value = try await body(server) } catch {
      try await server.shutDown()
      throw error
    }
    try await server.shutDown()
    return value
  }

  private func failure(_ client: HTTPClient, _ request: HTTPRequest) async -> HTTPError? {
    do throws(HTTPError) {
      _ = try await client.send(request)
      return nil
    } catch { return error }
  }

  @Test func sendsMethodHeadersAndBody() async throws {
    try await withServer({ _ in ScriptedServer.ok("fine", headers: "X-Kind: good\r\n") }) { server in
      let request = HTTPRequest(
        method: "POST", url: server.url + "/a?b=c", headers: [("X-One", "1"), ("X-Empty", "")],
        body: Array("héllo".utf8))
      let response = try await HTTPClient().send(request)
      #expect(response.status == 200)
      #expect(response.header("x-kind") == "good")
      #expect(response.body == Array("fine".utf8))
      let seen = try #require(server.requests.first)
      #expect(seen.hasPrefix("POST /a?b=c HTTP/1.1\r\n"))
      #expect(seen.contains("X-One: 1\r\n"))
      #expect(seen.contains("X-Empty:"))
      #expect(!seen.contains("Expect:"))
      #expect(seen.hasSuffix("\r\n\r\nhéllo"))
    }
  }

  @Test func emptyBodyIsSentAsLengthZero() async throws {
    try await withServer({ _ in ScriptedServer.ok("") }) { server in
      let response = try await HTTPClient().send(HTTPRequest(method: "POST", url: server.url, body: []))
      #expect(response.body.isEmpty)
      #expect(server.requests.first?.contains("Content-Length: 0") == true)
    }
  }

  @Test func interimAnswerIsNotTheAnswer() async throws {
    let answer = ScriptedServer.Answer.bytes(
      "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    try await withServer({ _ in answer }) { server in
      let response = try await HTTPClient().send(HTTPRequest(url: server.url))
      #expect(response.status == 404)
      #expect(response.header("X-Early") == nil)
    }
  }

  @Test func connectionIsKept() async throws {
    try await withServer({ _ in ScriptedServer.ok("x") }) { server in
      let client = HTTPClient()
      for _ in 0..<5 { _ = try await client.send(HTTPRequest(url: server.url)) }
      #expect(server.connections == 1)
    }
  }

  @Test func manyRequestsAtOnceAllComeBack() async throws {
    try await withServer({ request in ScriptedServer.ok(String(request.split(separator: " ")[1])) }) { server in
      let client = HTTPClient()
      let paths = try await withThrowingTaskGroup(of: String.self) { group in
        for number in 0..<200 {
          group.addTask {
            let response = try await client.send(HTTPRequest(url: server.url + "/\(number)"))
            return String(decoding: response.body, as: UTF8.self)
          }
        }
        return try await group.reduce(into: Set<String>()) { $0.insert($1) }
      }
      #expect(paths == Set((0..<200).map { "/\($0)" }))
      #expect(server.connections <= 8)
    }
  }

  @Test func redirectIsNotFollowed() async throws {
    let answer = ScriptedServer.Answer.bytes("HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")
    try await withServer({ _ in answer }) { server in
      let response = try await HTTPClient().send(HTTPRequest(url: server.url))
      #expect(response.status == 302)
      #expect(server.requests.count == 1)
    }
  }

  @Test func announcedLengthAboveTheLimitIsRefused() async throws {
    var configuration = HTTPClient.Configuration()
    configuration.maxResponseBytes = 10
    let client = HTTPClient(configuration: configuration)
    try await withServer({ _ in ScriptedServer.ok(String(repeating: "x", count: 11)) }) { server in
      #expect(await failure(client, HTTPRequest(url: server.url))?.code == .tooLarge)
    }
  }

  @Test func chunkedBodyAboveTheLimitIsRefused() async throws {
    var configuration = HTTPClient.Configuration()
    configuration.maxResponseBytes = 10
    let client = HTTPClient(configuration: configuration)
    let answer = ScriptedServer.Answer.bytes(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nxxxxxxxx\r\n8\r\nxxxxxxxx\r\n0\r\n\r\n")
    try await withServer({ _ in answer }) { server in
      #expect(await failure(client, HTTPRequest(url: server.url))?.code == .tooLarge)
    }
  }

  @Test func tooManyHeadersAreRefused() async throws {
    var configuration = HTTPClient.Configuration()
    configuration.maxHeaderBytes = 100
    let client = HTTPClient(configuration: configuration)
    let headers = "X-Long: \(String(repeating: "h", count: 200))\r\n"
    try await withServer({ _ in ScriptedServer.ok("x", headers: headers) }) { server in
      #expect(await failure(client, HTTPRequest(url: server.url))?.code == .tooLarge)
    }
  }

  @Test func silentServerEndsAtTheDeadline() async throws {
    try await withServer({ _ in .silence }) { server in
      let started = ContinuousClock.now
      let request = HTTPRequest(url: server.url, deadline: .after(.milliseconds(200)))
      #expect(await failure(HTTPClient(), request)?.code == .timedOut)
      #expect(started.duration(to: .now) < .seconds(5))
    }
  }

  @Test func passedDeadlineSendsNothing() async throws {
    try await withServer({ _ in ScriptedServer.ok("x") }) { server in
      let request = HTTPRequest(url: server.url, deadline: .after(.zero))
      #expect(await failure(HTTPClient(), request)?.code == .timedOut)
      #expect(server.connections == 0)
    }
  }

  @Test func cancellationAbortsTheTransfer() async throws {
    try await withServer({ _ in .silence }) { server in
      let client = HTTPClient()
      let call = Task { await failure(client, HTTPRequest(url: server.url)) }
      await server.waitForRequests(1)
      call.cancel()
      #expect(await call.value?.code == .cancelled)
      await server.waitForClosed(1)
    }
  }

  @Test func cancelledTaskSendsNothing() async throws {
    try await withServer({ _ in ScriptedServer.ok("x") }) { server in
      let client = HTTPClient()
      let call = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        return await failure(client, HTTPRequest(url: server.url))
      }
      #expect(await call.value?.code == .cancelled)
      #expect(server.requests.isEmpty)
    }
  }

  @Test func shutDownFailsWhatIsInFlightAndWhatComesAfter() async throws {
    try await withServer({ _ in .silence }) { server in
      let client = HTTPClient()
      let call = Task { await failure(client, HTTPRequest(url: server.url)) }
      await server.waitForRequests(1)
      client.shutDown()
      #expect(await call.value?.code == .closed)
      #expect(await failure(client, HTTPRequest(url: server.url))?.code == .closed)
    }
  }

  @Test func brokenBodyIsALostConnection() async throws {
    let answer = ScriptedServer.Answer.bytesThenClose("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    try await withServer({ _ in answer }) { server in
      #expect(await failure(HTTPClient(), HTTPRequest(url: server.url))?.code == .connectionLost)
    }
  }

  @Test func refusedConnectionIsTold() async throws {
    let server = try await ScriptedServer.start { _ in .silence }
    try await server.shutDown()
    let error = await failure(HTTPClient(), HTTPRequest(url: server.url))
    #expect(error?.code == .connect)
    #expect(error?.isTransient == true)
  }

  @Test func unknownHostIsTold() async {
    let error = await failure(HTTPClient(), HTTPRequest(url: "http://no-such-host.invalid/"))
    #expect(error?.code == .resolve)
  }

  @Test(arguments: ["", "nonsense", "/relative", "file:///etc/passwd", "ftp://host/", "http://user:pw@host/"])
  func unusableURLIsRefused(url: String) async {
    let error = await failure(HTTPClient(), HTTPRequest(url: url))
    #expect(error?.code == .invalidURL)
    #expect(error?.description.contains("pw") == false)
  }

  @Test func lineBreakInAHeaderIsRefused() async {
    let request = HTTPRequest(url: "http://127.0.0.1:1/", headers: [("X-A", "b\r\nX-Injected: 1")])
    #expect(await failure(HTTPClient(), request)?.code == .invalidRequest)
  }

  @Test func errorShowsNoQuery() async {
    let error = await failure(HTTPClient(), HTTPRequest(url: "http://127.0.0.1:1/path?token=hidden"))
    #expect(error?.url == "http://127.0.0.1:1/path")
    #expect(error?.description.contains("hidden") == false)
  }

  @Test func overriddenAddressIsUsed() async throws {
    try await withServer({ _ in ScriptedServer.ok("here") }) { server in
      let port = try #require(server.url.split(separator: ":").last)
      var configuration = HTTPClient.Configuration()
      configuration.resolve = ["elsewhere.invalid:\(port):127.0.0.1"]
      let response = try await HTTPClient(configuration: configuration)
        .send(HTTPRequest(url: "http://elsewhere.invalid:\(port)/"))
      #expect(response.body == Array("here".utf8))
    }
  }
}
