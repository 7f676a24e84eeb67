import Testing

@testable import Console

@Suite struct ListenAddressTests {
  @Test(arguments: [
    ("8081", "127.0.0.1", 8081), (":8081", "127.0.0.1", 8081), ("0.0.0.0:1", "0.0.0.0", 1),
    ("[::1]:9", "::1", 9), ("localhost:0", "localhost", 0),
  ])
  func understands(text: String, host: String, port: Int) {
    #expect(ListenAddress(text) == ListenAddress(host: host, port: port))
  }

  @Test(arguments: ["", "x", "a:b", "::1:80", "h:65536", "h:-1"])
  func refuses(text: String) { #expect(ListenAddress(text) == nil) }

  @Test func aPortAloneNeverListensBeyondThisMachine() { #expect(ListenAddress("80")?.host == "127.0.0.1") }
}
