import Foundation
import Testing

/// The example in a process of its own.
final class RunningService {
  private let process = Process()
  private let log: String
  private(set) var port = 0

  /// Starts it and waits until it listens.
  init(in directory: String, environment: [String: String]) throws {
    let bundle = Bundle.main.bundleURL
    let places =
      [bundle, bundle.deletingLastPathComponent()]
      + Bundle.allBundles.map { $0.bundleURL.deletingLastPathComponent() }
    let program = try #require(
      places.map { $0.appendingPathComponent("service-example").path }.first {
        FileManager.default.isExecutableFile(atPath: $0)
      }, "service-example was not built")
    log = directory + "/log"
    _ = FileManager.default.createFile(atPath: log, contents: nil)
    process.executableURL = URL(fileURLWithPath: program)
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
    try process.run()
    let deadline = Date() + 60
    while port == 0 {
      guard Date() < deadline, process.isRunning else {
        throw HTTPCall.Failure(description: "the service does not listen: \(lines)")
      }
      port = lines.lazy.compactMap(Self.port).first ?? 0
      usleep(10_000)
    }
  }

  private static func port(in line: String) -> Int? {
    guard line.contains(" listening "), let place = line.range(of: "port=") else { return nil }
    return Int(line[place.upperBound...].prefix { $0.isNumber })
  }

  var lines: [String] {
    do {
      return try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").map(
        String.init)
    } catch { return [] }
  }

  var processID: Int32 { process.processIdentifier }

  /// The exit status, or -1 after a signal.
  func wait() -> Int32 {
    process.waitUntilExit()
    return process.terminationReason == .exit ? process.terminationStatus : -1
  }
}
