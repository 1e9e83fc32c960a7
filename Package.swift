// swift-tools-version: 6.2
import PackageDescription

// Kernels for one instruction set live in a target of their own that alone is compiled with that
// set's flags; VectorKernels chooses among them at run time. SwiftPM has no architecture
// condition for flags, so the manifest asks which host it runs on.
#if arch(x86_64)
  let kernelTargets: [Target] = [
    .target(
      name: "VectorKernelsAVX2", dependencies: ["CVectorShims"],
      swiftSettings: [.unsafeFlags(["-Xcc", "-mavx2"])]),
    .target(
      name: "VectorKernelsAVX512", dependencies: ["CVectorShims"],
      swiftSettings: [.unsafeFlags(["-Xcc", "-march=x86-64-v4", "-Xcc", "-mavx512vnni"])]),
  ]
  let kernelDependencies: [Target.Dependency] = ["VectorKernelsAVX2", "VectorKernelsAVX512"]
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
      name: "fuzz", dependencies: ["VecDB", "LogStore", "BlockStore", "VectorIndex"],
      path: "Tests/Fuzz", swiftSettings: [.unsafeFlags(["-parse-as-library"])],
      // gold gives up on libFuzzer's archive.
      linkerSettings: [.unsafeFlags(["-use-ld=lld"])])
  ]

let package = Package(
  name: "vecdb",
  products: [
    .library(name: "VecDB", targets: ["VecDB"]),
    .library(name: "Replication", targets: ["Replication"]),
    .executable(name: "vecdb", targets: ["vecdb"]),
    .library(name: "VecDBEncryption", targets: ["VecDBEncryption"]),
    .library(name: "ReplicationTLS", targets: ["ReplicationTLS"]),
  ],
  traits: [
    .trait(
      name: "Encryption",
      description: "Encrypted backup repositories: VecDBEncryption, and the command's --key-file."),
    .trait(
      name: "TLS",
      description: "TLS between nodes: ReplicationTLS, and the command's --tls-cert."),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
  ],
  targets: kernelTargets + fuzzTargets + [
    .systemLibrary(
      name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "CVectorShims"),
    .target(name: "Bytes", dependencies: ["CVectorShims"]),
    .target(name: "Files", dependencies: ["Bytes"]),
    .target(name: "VectorKernels", dependencies: ["CVectorShims"] + kernelDependencies),
    .target(name: "VectorIndex", dependencies: ["VectorKernels", "Bytes", "CVectorShims"]),
    .target(name: "LogStore", dependencies: ["CSQLite", "Files", "Bytes"]),
    .target(name: "BlockStore", dependencies: ["Files", "Bytes"]),
    .target(
      name: "VecDB",
      dependencies: [
        "VectorIndex", "VectorKernels", "LogStore", "BlockStore", "Files", "Bytes",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
      ]),
    // Empty without the trait, so that nobody compiles BoringSSL who does not encrypt.
    .target(
      name: "VecDBEncryption",
      dependencies: [
        "VecDB", "Bytes",
        .product(name: "Crypto", package: "swift-crypto", condition: .when(traits: ["Encryption"])),
        .product(
          name: "CryptoExtras", package: "swift-crypto", condition: .when(traits: ["Encryption"])),
      ]),
    .target(name: "ReplicationProtocol", dependencies: ["LogStore", "Bytes"]),
    .target(
      name: "Replication",
      dependencies: [
        "VecDB", "ReplicationProtocol",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOTLS", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"),
      ]),
    // Empty without the trait, for the same reason.
    .target(
      name: "ReplicationTLS",
      dependencies: [
        "Replication", "VecDB", "Bytes",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl", condition: .when(traits: ["TLS"])),
      ]),
    .executableTarget(
      name: "vecdb",
      dependencies: [
        "Bytes", "VecDB", "Replication",
        .target(name: "VecDBEncryption", condition: .when(traits: ["Encryption"])),
        .target(name: "ReplicationTLS", condition: .when(traits: ["TLS"])),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(
      name: "vecdb-kernels", dependencies: ["VectorKernels"], path: "Benchmarks/Kernels"),
    .executableTarget(
      name: "vecdb-levers", dependencies: ["VectorIndex", "Bytes"], path: "Benchmarks/Levers"),
    .executableTarget(
      name: "vecdb-increments", dependencies: ["BlockStore", "Files", "Bytes"],
      path: "Benchmarks/Increments"),
    .target(name: "Shapes", path: "Tests/Shapes"),
    .executableTarget(
      name: "vecdb-shapes", dependencies: ["VecDB", "Shapes"], path: "Benchmarks/Shapes"),
    .target(
      name: "SimulatedDisk", dependencies: ["CSQLite", "Files", "Bytes"],
      path: "Tests/SimulatedDisk"),
    .executableTarget(
      name: "crash-workload", dependencies: ["VecDB", "BlockStore", "Files"],
      path: "Tests/CrashWorkload"),
    .executableTarget(
      name: "rebuild-workload", dependencies: ["VecDB", "VectorIndex", "Bytes"],
      path: "Tests/RebuildWorkload"),
    .testTarget(name: "BytesTests", dependencies: ["Bytes"]),
    .testTarget(name: "FilesTests", dependencies: ["Files", "SimulatedDisk", "CSQLite"]),
    .testTarget(name: "VectorKernelsTests", dependencies: ["VectorKernels"]),
    .testTarget(
      name: "VectorIndexTests", dependencies: ["VectorIndex", "VectorKernels", "Bytes", "Shapes"]),
    .testTarget(name: "LogStoreTests", dependencies: ["LogStore", "SimulatedDisk", "CSQLite"]),
    .testTarget(name: "BlockStoreTests", dependencies: ["BlockStore", "SimulatedDisk"]),
    .testTarget(
      name: "VecDBTests",
      dependencies: [
        "VecDB", "BlockStore", "LogStore", "SimulatedDisk", "Shapes",
        .product(name: "Logging", package: "swift-log"),
      ]),
    .testTarget(name: "VecDBEncryptionTests", dependencies: ["VecDBEncryption", "VecDB"]),
    .testTarget(name: "ReplicationProtocolTests", dependencies: ["ReplicationProtocol"]),
    .testTarget(
      name: "ReplicationTests",
      dependencies: [
        "Replication", "ReplicationProtocol", "VecDB", "Bytes",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ]),
    .testTarget(
      name: "ReplicationTLSTests", dependencies: ["ReplicationTLS", "Replication", "VecDB"],
      exclude: ["Certificates"]),
    .testTarget(name: "CommandTests", dependencies: ["VecDB", "vecdb", "Shapes"]),
  ],
  swiftLanguageModes: [.v6]
)
