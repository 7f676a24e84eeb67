// swift-tools-version: 6.2
// The floors of the house, from the C libraries at the bottom to the command line at the top.
// `Tests/TidyTests` reads every import and holds the arrows.
import PackageDescription

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .treatAllWarnings(as: .error),
]

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")

/// A floor: a library target under `Sources/<name>`.
func floor(_ name: String, _ dependencies: [Target.Dependency] = [], embedding: [String] = []) -> Target {
  .target(
    name: name, dependencies: dependencies,
    resources: embedding.map { .embedInCode($0) }, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

let package = Package(
  name: "sluice",
  products: [
    .executable(name: "sluice", targets: ["sluice"]),
    .executable(name: "sluice-bench", targets: ["Benchmarks"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
    .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
  ],
  targets: [
    // Floor 0: the C libraries.
    .systemLibrary(name: "CLibpq", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
    .systemLibrary(name: "CLibcurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    // Floor 1
    floor("Platform", [logging, metrics, crypto]),
    // Floor 2: one driver a module.
    floor("Postgres", ["CLibpq", "Platform", logging]),
    floor("Redis", ["CHiredis", "Platform", nioCore, nioPosix, nioSSL, logging]),
    floor("HTTP", ["CLibcurl", "Platform", logging]),
    // Floor 3
    floor("Governance"),
    floor("Databricks", ["HTTP", "Platform", logging]),
    // Floor 4
    floor("JobQueue", ["Redis", "Platform", logging], embedding: ["Scripts"]),
    floor(
      "Metadata", ["Postgres", "Governance", "Platform", logging], embedding: ["Migrations", "Statements"]),
    // Floor 5
    floor(
      "Enforcement", ["Governance", "Databricks", "Metadata", "Postgres", "Platform", logging, metrics],
      embedding: ["Statements"]),
    // Floor 6
    floor(
      "Cluster", ["JobQueue", "Metadata", "Enforcement", "Databricks", "Platform", logging, metrics, lifecycle]),
    floor(
      "Console",
      ["JobQueue", "Metadata", "Platform", logging, lifecycle, .product(name: "Hummingbird", package: "hummingbird")]),
    // Beside the house: a workspace and a gateway to try it against, and private servers for `dev` and tests.
    floor("LocalServers", ["Platform", logging]),
    floor(
      "LakebaseStandIn",
      [
        "Postgres", "Platform", nioCore, nioPosix, nioTLS, nioSSL, crypto, logging,
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdTLS", package: "hummingbird"),
      ], embedding: ["Bootstrap"]),
    // Floor 7: the only composition root.
    .executableTarget(
      name: "sluice",
      dependencies: [
        "Platform", "Postgres", "Redis", "HTTP", "Governance", "Databricks", "JobQueue", "Metadata",
        "Enforcement", "Cluster", "Console", "LocalServers", "LakebaseStandIn", logging, lifecycle,
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Configuration", package: "swift-configuration"),
        .product(name: "Yams", package: "Yams"),
      ], swiftSettings: strict),
    // Benchmarks: `ops/bench` builds and runs them, without the console; beside them C clients that do the bare minimum.
    .target(
      name: "CCeiling", dependencies: ["CHiredis", "CLibpq"], path: "ops/benchmarks/ceiling",
      linkerSettings: [.linkedLibrary("hiredis"), .linkedLibrary("pq")]),
    .executableTarget(
      name: "Benchmarks",
      dependencies: [
        "CCeiling", "Platform", "Postgres", "Redis", "Governance", "JobQueue", "Metadata", "Cluster", "LocalServers",
        logging, lifecycle,
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "ops/benchmarks/tool", swiftSettings: strict),
    tests("TidyTests", []),
    .target(name: "RandomTestKit", path: "Tests/RandomTestKit", swiftSettings: strict),
    tests("GovernanceTests", ["Governance", "RandomTestKit"]),
    tests("PostgresTests", ["Postgres", "Platform", logging]),
    tests("LocalServersTests", ["LocalServers", "Platform"]),
    .target(
      name: "RedisTestKit", dependencies: ["Redis", "Platform", logging], path: "Tests/RedisTestKit",
      swiftSettings: strict),
    tests("RedisTests", ["Redis", "RedisTestKit", "Platform", logging, nioCore, nioPosix]),
    tests("HTTPTests", ["HTTP", "Platform", nioCore, nioPosix]),
    tests("DatabricksTests", ["Databricks", "HTTP", "LakebaseStandIn", "Platform"]),
    tests(
      "LakebaseStandInTests",
      [
        "LakebaseStandIn", "Databricks", "HTTP", "LocalServers", "Postgres", "Platform", nioCore, nioPosix, logging,
      ]),
    .target(
      name: "QueueModelKit", dependencies: ["JobQueue", "Platform"], path: "Tests/QueueModelKit",
      swiftSettings: strict),
    tests(
      "JobQueueTests",
      ["JobQueue", "QueueModelKit", "RandomTestKit", "Redis", "RedisTestKit", "Platform", logging]),
    .target(
      name: "SluiceTestKit",
      dependencies: ["LocalServers", "Metadata", "Enforcement", "Postgres", "Platform", "Governance", logging],
      path: "Tests/SluiceTestKit", swiftSettings: strict),
    tests(
      "MetadataTests",
      ["Metadata", "SluiceTestKit", "RandomTestKit", "Governance", "Postgres", "Platform", logging]),
    tests(
      "EnforcementTests",
      [
        "Enforcement", "Metadata", "SluiceTestKit", "RandomTestKit", "LocalServers", "Governance", "Postgres",
        "Platform", logging,
      ]),
    tests(
      "ClusterTests",
      [
        "Cluster", "JobQueue", "Redis", "RedisTestKit", "Metadata", "Enforcement", "SluiceTestKit", "LocalServers",
        "Governance",
        "Postgres", "Platform", logging, lifecycle,
      ]),
    tests(
      "SimulationTests",
      [
        "Cluster", "JobQueue", "QueueModelKit", "RandomTestKit", "Metadata", "Enforcement", "Databricks", "Platform",
        logging,
      ]),
    tests(
      "CommandLineTests",
      [
        "sluice", "Governance", "Metadata", "Postgres", "Platform", "SluiceTestKit",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    tests("ConsoleTests", ["Console", logging]),
    tests("BenchmarksTests", ["Benchmarks", "LocalServers", "Platform"]),
    tests(
      "OperatorTests",
      [
        "sluice", "Cluster", "JobQueue", "Redis", "RedisTestKit", "Metadata", "SluiceTestKit", "LocalServers",
        "Postgres", "Platform",
      ]),
    // Real processes under load and faults, and the checks on what they leave; run by ops/campaign and by the tests.
    .executableTarget(
      name: "campaign",
      dependencies: [
        "LocalServers", "RandomTestKit", "Postgres", "Platform", logging, signals,
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Tests/Campaign", swiftSettings: strict),
    tests("EndToEndTests", ["sluice", "campaign", "LocalServers", "Postgres", "Platform"]),
  ]
)
