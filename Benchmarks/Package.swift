// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that measuring costs those who build vecdb nothing. It uses only what
// an application can use.
let package = Package(
  name: "vecdb-benchmarks",
  dependencies: [
    .package(name: "vecdb", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
  ],
  targets: [
    .executableTarget(
      name: "vecdb-benchmarks",
      dependencies: [
        .product(name: "VecDB", package: "vecdb"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ])
  ],
  swiftLanguageModes: [.v6]
)
