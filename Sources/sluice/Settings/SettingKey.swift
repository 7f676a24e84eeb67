/// One setting: its name in a config file, from which the flag and the variable follow.
struct SettingKey: Sendable, Hashable {
  /// What a value may look like, and what is checked before anything uses it.
  enum Form: Sendable, Hashable {
    case text
    /// A URL that may hold a password; shown without it.
    case secretURL(schemes: [String])
    case path
    /// A file that has to be there already.
    case readableFile
    /// As `readableFile`, and nobody but its owner may read it.
    case privateFile
    case duration(ClosedRange<Duration>)
    case integer(ClosedRange<Int>)
    case choice([String])
    case choices([String])
    case address
  }

  let name: String
  let form: Form
  let defaultText: String?
  /// One line of help: what it is for, with its unit.
  let summary: String

  init(_ name: String, _ form: Form, default defaultText: String? = nil, _ summary: String) {
    self.name = name
    self.form = form
    self.defaultText = defaultText
    self.summary = summary
  }

  var flag: String { "--" + name.replacing("_", with: "-") }
  var variable: String { "SLUICE_" + name.uppercased() }
}

/// Every setting there is. Flags, variables, config files, `sluice config show` and the help are made from this list.
extension SettingKey {
  static let metadataURL = SettingKey(
    "metadata_url", .secretURL(schemes: ["postgres", "postgresql"]),
    "the metadata database, postgres://user:password@host:port/database; with its standbys host:port,host:port")
  static let redisURL = SettingKey(
    "redis_url", .secretURL(schemes: ["redis", "rediss", "redis+sentinel", "rediss+sentinel"]),
    "the Redis that holds the queue, redis://… or rediss://user:password@host:port/database, "
      + "or redis+sentinel://host:port,…/name")
  static let redisCertificateFile = SettingKey(
    "redis_certificate_file", .readableFile, "PEM file of the certificate shown to a Redis that asks for one")
  static let redisKeyFile = SettingKey(
    "redis_key_file", .privateFile, "PEM file of that certificate's key, readable by its owner only")
  static let secretKeyFile = SettingKey(
    "secret_key_file", .path, "the key that seals stored secrets; made by: sluice key generate")
  static let caFile = SettingKey(
    "ca_file", .readableFile, "PEM file of the certificate authorities to trust instead of the system's")
  static let logLevel = SettingKey(
    "log_level", .choice(["trace", "debug", "info", "notice", "warning", "error", "critical"]), default: "info",
    "the least severe level that is logged")
  static let logFormat = SettingKey(
    "log_format", .choice(["text", "json"]), "how log lines look; text on a terminal, else json")
  static let health = SettingKey(
    "health", .address, "where /livez and /readyz are answered, host:port; a port alone means loopback; unset: nowhere")
  static let drainTimeout = SettingKey(
    "drain_timeout", .duration(.zero ... .seconds(3600)), default: "25s",
    "how long a process may finish leased work after SIGTERM before it gives the rest back")
  static let concurrency = SettingKey(
    "concurrency", .integer(1...256), default: "4", "lanes that a worker works side by side")
  static let classes = SettingKey(
    "classes", .choices(["revoke", "interactive", "bulk"]), default: "revoke,interactive,bulk",
    "classes of jobs that a worker takes")
  static let batchSize = SettingKey(
    "batch_size", .integer(1...1000), default: "200", "jobs of a lane that a worker takes at once, at most")
  static let batchTime = SettingKey(
    "batch_time", .duration(.milliseconds(100) ... .seconds(300)), default: "5s",
    "about how long a batch may take; fewer jobs are taken at once while they are slow")
  static let leaseTTL = SettingKey(
    "lease_ttl", .duration(.seconds(2) ... .seconds(600)), default: "30s",
    "how long a lane stays with a worker that no longer renews its lease")
  static let outboxPoll = SettingKey(
    "outbox_poll", .duration(.milliseconds(10) ... .seconds(60)), default: "1s",
    "how often a scheduler looks for new jobs when no announcement comes")
  static let queueLimit = SettingKey(
    "queue_limit", .integer(1000...100_000_000), default: "1000000",
    "jobs in Redis beyond which only revokes are added and producers slow down; a job takes up to 150 bytes")
  static let queueConnectionLimit = SettingKey(
    "queue_connection_limit", .integer(10_000...100_000_000),
    "the same for one connection, to leave room for others; a tenth of queue_limit if not set, 10000 at least")
  static let retryLimit = SettingKey(
    "retry_limit", .duration(.seconds(60) ... .seconds(365 * 86_400)), default: "24h",
    "how long a job may fail and be tried again before it is discarded; waiting does not count")
  static let targetSessionRest = SettingKey(
    "target_session_rest", .duration(.zero ... .seconds(60)), default: "3s",
    "how long a session in a target rests between two batches of a database; 0s closes it after each")
  static let targetLockTimeout = SettingKey(
    "target_lock_timeout", .duration(.milliseconds(100) ... .seconds(60)), default: "2s",
    "how long a statement in a target waits for a lock before it lets others go on and comes again")
  static let targetStatementTimeout = SettingKey(
    "target_statement_timeout", .duration(.seconds(1) ... .seconds(600)), default: "30s",
    "how long a statement in a target may take; then it is cut into smaller ones")
  static let targetTransactionTime = SettingKey(
    "target_transaction_time", .duration(.milliseconds(10) ... .seconds(30)), default: "250ms",
    "about how long a transaction that grants may take; what is more is done in several")
  static let syncRelationLimit = SettingKey(
    "sync_relation_limit", .integer(1000...100_000_000), default: "1000000",
    "relations of a database beyond which it is not synced at all, rather than in part")
  static let firstProbe = SettingKey(
    "first_probe", .duration(.milliseconds(100) ... .seconds(3600)), default: "1s",
    "when a stopped instance is first asked after; later probes follow after half as long again each")
  static let longestProbe = SettingKey(
    "longest_probe", .duration(.seconds(1) ... .seconds(86_400)), default: "30s",
    "the longest time between two probes of a stopped instance")
  static let jobRetention = SettingKey(
    "job_retention", .duration(.seconds(60) ... .seconds(3650 * 86_400)), default: "7d",
    "how long finished jobs are kept; discarded ones have a time of their own")
  static let deadRetention = SettingKey(
    "dead_retention", .duration(.seconds(60) ... .seconds(3650 * 86_400)), default: "90d",
    "how long discarded jobs are kept for somebody to decide about them")

  static let all: [SettingKey] = [
    .metadataURL, .redisURL, .redisCertificateFile, .redisKeyFile, .secretKeyFile, .caFile, .logLevel, .logFormat,
    .health, .drainTimeout, .concurrency, .classes, .batchSize, .batchTime, .leaseTTL, .outboxPoll, .queueLimit,
    .queueConnectionLimit, .retryLimit, .targetSessionRest, .targetLockTimeout, .targetStatementTimeout,
    .targetTransactionTime, .syncRelationLimit, .firstProbe, .longestProbe, .jobRetention, .deadRetention,
  ]
}
