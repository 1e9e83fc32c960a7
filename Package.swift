// swift-tools-version: 6.2
import PackageDescription

// Kernels for one instruction set live in a target of their own that alone is compiled with that
// set's flags; VectorKernels chooses among them at run time. SwiftPM has no architecture
// condition for flags, so the manifest asks which host it runs on.
#if arch(x86_64)
  let kernelTargets: [Target] = [
    .target(
      name: "VecDBKernelsAVX2", dependencies: ["CVecDBShims"],
      swiftSettings: [.unsafeFlags(["-Xcc", "-mavx2"])]),
    .target(
      name: "VecDBKernelsAVX512", dependencies: ["CVecDBShims"],
      swiftSettings: [.unsafeFlags(["-Xcc", "-march=x86-64-v4", "-Xcc", "-mavx512vnni"])]),
  ]
  let kernelDependencies: [Target.Dependency] = ["VecDBKernelsAVX2", "VecDBKernelsAVX512"]
#else
  let kernelTargets: [Target] = []
  let kernelDependencies: [Target.Dependency] = []
#endif

// The fuzzers need flags of their own; scripts/fuzz asks for them.
let fuzzTargets: [Target] =
  Context.environment["VECDB_FUZZ"] == nil
  ? []
  : [
    .executableTarget(
      name: "fuzz",
      dependencies: [
        "VecDB", "VecDBLogStore", "VecDBBlockStore", "VecDBIndex", "VecDBObjectStore",
      ],
      path: "Tests/Fuzz", swiftSettings: [.unsafeFlags(["-parse-as-library"])],
      // gold gives up on libFuzzer's archive.
      linkerSettings: [.unsafeFlags(["-use-ld=lld"])])
  ]

// The example of a service needs an HTTP server, which nobody else shall fetch or compile; scripts/test
// asks for it, with the traits Service and Configuration.
let hasExample = Context.environment["VECDB_EXAMPLE"] != nil
let exampleDependencies: [Package.Dependency] =
  hasExample
  ? [
    .package(
      url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: [])
  ] : []
let exampleTargets: [Target] =
  hasExample
  ? [
    .executableTarget(
      name: "service-example",
      dependencies: [
        "VecDBService", "VecDBConfiguration", "VecDB",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "Configuration", package: "swift-configuration"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "MetricsTestKit", package: "swift-metrics"),
        .product(name: "Tracing", package: "swift-distributed-tracing"),
        .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
      ],
      path: "Tests/ServiceExample"),
    .testTarget(
      name: "ServiceExampleTests", dependencies: ["service-example", "VecDB", "VecDBBytes"]),
  ] : []

let package = Package(
  name: "vecdb",
  products: [
    .library(name: "VecDB", targets: ["VecDB"]),
    .library(name: "VecDBReplication", targets: ["VecDBReplication"]),
    .executable(name: "vecdb", targets: ["VecDBCommand"]),
    .library(name: "VecDBC", type: .dynamic, targets: ["VecDBC"]),
    .library(name: "VecDBEncryption", targets: ["VecDBEncryption"]),
    .library(name: "VecDBReplicationTLS", targets: ["VecDBReplicationTLS"]),
    .library(name: "VecDBConfiguration", targets: ["VecDBConfiguration"]),
    .library(name: "VecDBService", targets: ["VecDBService"]),
    .library(name: "VecDBObjectStore", targets: ["VecDBObjectStore"]),
    .library(name: "VecDBCoordination", targets: ["VecDBCoordination"]),
  ],
  traits: [
    .trait(
      name: "Configuration",
      description: "VecDBConfiguration: options of databases and nodes from swift-configuration."),
    .trait(
      name: "Encryption",
      description: "Encrypted backup repositories: VecDBEncryption, and the command's --key-file."),
    .trait(
      name: "Service",
      description: "VecDBService: databases, nodes and archives for swift-service-lifecycle."),
    .trait(
      name: "TLS",
      description: "TLS between nodes: VecDBReplicationTLS, and the command's --tls-cert."),
    .trait(
      name: "S3",
      description: "Repositories in object stores, s3://bucket/prefix, by VecDBObjectStore."),
    .trait(
      name: "Coordination",
      description: "Automatic failover on etcd: VecDBCoordination, and the verbs node and cluster."),
  ],
  dependencies: exampleDependencies + [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
  ],
  targets: kernelTargets + fuzzTargets + exampleTargets + [
    .systemLibrary(
      name: "CVecDBSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "CVecDBShims"),
    .target(name: "VecDBBytes", dependencies: ["CVecDBShims"]),
    .target(name: "VecDBFiles", dependencies: ["VecDBBytes"]),
    .target(name: "VecDBThreads", dependencies: ["VecDBFiles", "VecDBBytes"]),
    .target(name: "VecDBKernels", dependencies: ["CVecDBShims"] + kernelDependencies),
    .target(name: "VecDBIndex", dependencies: ["VecDBKernels", "VecDBBytes", "CVecDBShims"]),
    .target(name: "VecDBLogStore", dependencies: ["CVecDBSQLite", "VecDBFiles", "VecDBBytes"]),
    .target(name: "VecDBBlockStore", dependencies: ["VecDBThreads", "VecDBFiles", "VecDBBytes"]),
    .target(
      name: "VecDB",
      dependencies: [
        "VecDBIndex", "VecDBKernels", "VecDBLogStore", "VecDBBlockStore", "VecDBThreads",
        "VecDBFiles",
        "VecDBBytes",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "Tracing", package: "swift-distributed-tracing"),
      ]),
    // The C interface, whose header is in CVecDB.
    .systemLibrary(name: "CVecDB"),
    .target(
      name: "VecDBC",
      dependencies: [
        "CVecDB", "VecDB", "VecDBBytes", .product(name: "Logging", package: "swift-log"),
      ]),
    // Empty without the trait, so that nobody compiles BoringSSL who does not encrypt.
    .target(
      name: "VecDBEncryption",
      dependencies: [
        "VecDB", "VecDBBytes",
        .product(name: "Crypto", package: "swift-crypto", condition: .when(traits: ["Encryption"])),
        .product(
          name: "CryptoExtras", package: "swift-crypto", condition: .when(traits: ["Encryption"])),
      ]),
    .target(
      name: "VecDBReplicationProtocol", dependencies: ["VecDBLogStore", "VecDBFiles", "VecDBBytes"]),
    .target(
      name: "VecDBReplication",
      dependencies: [
        "VecDB", "VecDBReplicationProtocol", "VecDBLogStore", "VecDBBlockStore", "VecDBThreads",
        "VecDBFiles",
        "VecDBBytes",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOTLS", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
      ]),
    // Empty without the trait, for the same reason.
    .target(
      name: "VecDBReplicationTLS",
      dependencies: [
        "VecDBReplication", "VecDB", "VecDBBytes",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl", condition: .when(traits: ["TLS"])),
      ]),
    .target(
      name: "VecDBConfiguration",
      dependencies: [
        "VecDBReplication", "VecDB",
        .target(name: "VecDBEncryption", condition: .when(traits: ["Encryption"])),
        .target(name: "VecDBReplicationTLS", condition: .when(traits: ["TLS"])),
        .product(
          name: "Configuration", package: "swift-configuration",
          condition: .when(traits: ["Configuration"])),
      ]),
    // Empty without the trait, so that its dependency is fetched only where it is used.
    .target(
      name: "VecDBService",
      dependencies: [
        "VecDBReplication", "VecDB", "VecDBBytes",
        .product(
          name: "ServiceLifecycle", package: "swift-service-lifecycle",
          condition: .when(traits: ["Service"])),
      ]),
    // Without the trait it has no client, so that nobody compiles BoringSSL for it.
    .target(
      name: "VecDBObjectStore",
      dependencies: [
        "VecDB", "VecDBBlockStore", "VecDBFiles", "VecDBBytes",
        .product(name: "NIOCore", package: "swift-nio", condition: .when(traits: ["S3"])),
        .product(name: "NIOPosix", package: "swift-nio", condition: .when(traits: ["S3"])),
        .product(name: "NIOHTTP1", package: "swift-nio", condition: .when(traits: ["S3"])),
        .product(name: "NIOSSL", package: "swift-nio-ssl", condition: .when(traits: ["S3"])),
        .product(
          name: "AsyncHTTPClient", package: "async-http-client", condition: .when(traits: ["S3"])),
      ]),
    // Without the trait it has no client either.
    .target(
      name: "VecDBCoordination",
      dependencies: [
        "VecDBReplication", "VecDBReplicationProtocol", "VecDB", "VecDBBytes",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio", condition: .when(traits: ["Coordination"])),
        .product(
          name: "NIOPosix", package: "swift-nio", condition: .when(traits: ["Coordination"])),
        .product(
          name: "NIOHTTP1", package: "swift-nio", condition: .when(traits: ["Coordination"])),
        .product(
          name: "NIOSSL", package: "swift-nio-ssl", condition: .when(traits: ["Coordination"])),
        .product(
          name: "AsyncHTTPClient", package: "async-http-client",
          condition: .when(traits: ["Coordination"])),
      ]),
    .executableTarget(
      name: "VecDBCommand",
      dependencies: [
        "VecDBBytes", "VecDB", "VecDBReplication", "VecDBObjectStore", "VecDBCoordination",
        .target(name: "VecDBEncryption", condition: .when(traits: ["Encryption"])),
        .target(name: "VecDBReplicationTLS", condition: .when(traits: ["TLS"])),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ]),
    .executableTarget(
      name: "vecdb-kernels", dependencies: ["VecDBKernels"], path: "Benchmarks/Kernels"),
    .executableTarget(
      name: "vecdb-levers", dependencies: ["VecDBIndex", "VecDBBytes"], path: "Benchmarks/Levers"),
    .executableTarget(
      name: "vecdb-increments", dependencies: ["VecDBBlockStore", "VecDBFiles", "VecDBBytes"],
      path: "Benchmarks/Increments"),
    .target(name: "VecDBShapes", dependencies: ["VecDBBytes"], path: "Tests/Shapes"),
    .executableTarget(
      name: "vecdb-shapes", dependencies: ["VecDB", "VecDBShapes"], path: "Benchmarks/Shapes"),
    .target(
      name: "VecDBSimulatedDisk", dependencies: ["CVecDBSQLite", "VecDBFiles", "VecDBBytes"],
      path: "Tests/SimulatedDisk"),
    .target(
      name: "VecDBSimulatedBucket", dependencies: ["VecDBBlockStore", "VecDBFiles", "VecDBBytes"],
      path: "Tests/SimulatedBucket"),
    .executableTarget(
      name: "crash-workload",
      dependencies: ["VecDB", "VecDBBlockStore", "VecDBFiles", "VecDBBytes"],
      path: "Tests/CrashWorkload"),
    .executableTarget(
      name: "rebuild-workload", dependencies: ["VecDB", "VecDBIndex", "VecDBBytes"],
      path: "Tests/RebuildWorkload"),
    .testTarget(name: "BytesTests", dependencies: ["VecDBBytes"]),
    .testTarget(
      name: "FilesTests", dependencies: ["VecDBFiles", "VecDBSimulatedDisk", "CVecDBSQLite"]),
    .testTarget(name: "VectorKernelsTests", dependencies: ["VecDBKernels", "VecDBBytes"]),
    .testTarget(
      name: "VectorIndexTests",
      dependencies: ["VecDBIndex", "VecDBKernels", "VecDBBytes", "VecDBShapes"]),
    .testTarget(
      name: "LogStoreTests",
      dependencies: [
        "VecDBFiles", "VecDBBytes", "VecDBLogStore", "VecDBSimulatedDisk", "CVecDBSQLite",
      ]),
    .testTarget(
      name: "BlockStoreTests",
      dependencies: [
        "VecDBFiles", "VecDBBytes", "VecDBBlockStore", "VecDBSimulatedDisk", "VecDBSimulatedBucket",
      ]),
    .testTarget(
      name: "VecDBTests",
      dependencies: [
        "VecDB", "VecDBIndex", "VecDBBlockStore", "VecDBLogStore", "VecDBThreads", "VecDBFiles",
        "VecDBBytes", "VecDBObjectStore", "VecDBSimulatedDisk", "VecDBSimulatedBucket",
        "VecDBShapes",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "InMemoryLogging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "MetricsTestKit", package: "swift-metrics"),
        .product(name: "Tracing", package: "swift-distributed-tracing"),
        .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
      ]),
    .testTarget(
      name: "VecDBEncryptionTests", dependencies: ["VecDBBytes", "VecDBEncryption", "VecDB"]),
    .testTarget(
      name: "ObjectStoreTests",
      dependencies: ["VecDBObjectStore", "VecDB", "VecDBBlockStore", "VecDBFiles", "VecDBBytes"]),
    .testTarget(
      name: "ReplicationProtocolTests",
      dependencies: ["VecDBLogStore", "VecDBBytes", "VecDBReplicationProtocol"]),
    .testTarget(
      name: "VecDBCoordinationTests",
      dependencies: [
        "VecDBCoordination", "VecDBReplication", "VecDBReplicationProtocol", "VecDB",
      ]),
    .testTarget(
      name: "ReplicationTests",
      dependencies: [
        "VecDBReplication", "VecDBReplicationProtocol", "VecDB", "VecDBBytes",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "Tracing", package: "swift-distributed-tracing"),
        .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
      ]),
    .testTarget(
      name: "ReplicationTLSTests",
      dependencies: ["VecDBReplicationTLS", "VecDBReplication", "VecDB"],
      exclude: ["Certificates"]),
    .testTarget(
      name: "VecDBConfigurationTests",
      dependencies: [
        "VecDBConfiguration", "VecDBReplication", "VecDB",
        .product(
          name: "Configuration", package: "swift-configuration",
          condition: .when(traits: ["Configuration"])),
      ]),
    .testTarget(
      name: "VecDBServiceTests",
      dependencies: [
        "VecDBService", "VecDBReplication", "VecDB",
        .product(name: "Logging", package: "swift-log"),
        .product(
          name: "ServiceLifecycle", package: "swift-service-lifecycle",
          condition: .when(traits: ["Service"])),
        .product(
          name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle",
          condition: .when(traits: ["Service"])),
      ]),
    .testTarget(name: "CommandTests", dependencies: ["VecDB", "VecDBCommand", "VecDBShapes"]),
  ],
  swiftLanguageModes: [.v6]
)

// Under the thread sanitizer only the suites whose tests run writers beside readers are of use;
// scripts/test asks for them alone, since a second build of everything takes minutes.
if Context.environment["VECDB_CONCURRENCY"] != nil {
  let isNeeded: Set = [
    "VecDBKernelsAVX2", "VecDBKernelsAVX512", "CVecDBSQLite", "CVecDBShims", "VecDBBytes",
    "VecDBFiles", "VecDBThreads", "VecDBKernels", "VecDBIndex", "VecDBLogStore",
    "VecDBBlockStore", "VecDB", "VecDBObjectStore", "VecDBShapes", "VecDBSimulatedDisk",
    "VecDBSimulatedBucket", "VectorIndexTests",
    "VecDBTests",
  ]
  package.targets.removeAll { !isNeeded.contains($0.name) }
  for target in package.targets where target.name == "VecDBTests" {
    target.sources = ["ConcurrencyTests.swift", "RepositoryKinds.swift", "TestSupport.swift"]
  }
  package.products.removeAll { $0.name != "VecDB" }
}
