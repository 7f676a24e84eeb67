import Foundation
import HTTP
import Platform

/// Answers of the workspace, as far as Sluice reads them.
enum WireFormat {
  struct AccessToken: Decodable {
    let accessToken: String
    let expiresIn: Int

    private enum CodingKeys: String, CodingKey { case accessToken = "access_token", expiresIn = "expires_in" }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      accessToken = try values.decode(String.self, forKey: .accessToken)
      // The official command line's own fake sends the number as text.
      let text = try? values.decode(String.self, forKey: .expiresIn)  // best effort: else it is a number
      expiresIn = try text.flatMap { Int($0) } ?? values.decode(Int.self, forKey: .expiresIn)
    }
  }

  struct Credential: Decodable {
    let token: String
    /// The two API families spell the key differently.
    let expiration_time: String?
    let expire_time: String?
  }

  struct Instance: Decodable {
    let state: String
    let uid: String?
    let read_write_dns: String?
  }

  struct Endpoint: Decodable {
    struct Status: Decodable {
      struct Hosts: Decodable { let host: String? }
      let current_state: String?
      let disabled: Bool?
      let hosts: Hosts?
    }
    let uid: String?
    let status: Status?
  }

  static func decode<Value: Decodable>(
    _ type: Value.Type, _ response: HTTPResponse, operation: String
  ) throws(DatabricksError) -> Value {
    do { return try JSONDecoder().decode(type, from: Data(response.body)) } catch {
      throw DatabricksError(
        code: .protocolViolation, operation: operation, status: response.status,
        message: "the answer is not the JSON that the API promises")
    }
  }

  /// A path segment, or a form field: everything but unreserved characters is escaped.
  static func escape(_ text: String, keeping kept: String = "") -> String {
    let unreserved = CharacterSet(
      charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~" + kept)
    return text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? ""
  }
}

extension InstanceDescription {
  init(_ instance: WireFormat.Instance) {
    let state: InstanceState =
      switch instance.state {
      case "AVAILABLE": .running
      case "STOPPED": .stopped(detail: instance.state)
      case "DELETING": .deleting
      // STARTING, UPDATING, FAILING_OVER, UPGRADING, and what a later API may add: not to be worked on yet.
      default: .starting(detail: instance.state)
      }
    self.init(state: state, host: instance.read_write_dns, uid: instance.uid)
  }

  init(_ endpoint: WireFormat.Endpoint) {
    let state: InstanceState =
      switch endpoint.status?.current_state {
      case _ where endpoint.status?.disabled == true: .disabled
      case "ACTIVE": .running
      case "IDLE": .idle
      // INIT, DEGRADED: the official command line does not connect then.
      case let other: .starting(detail: other ?? "no state given")
      }
    self.init(state: state, host: endpoint.status?.hosts?.host, uid: endpoint.uid)
  }
}
