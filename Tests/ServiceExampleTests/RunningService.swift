import Foundation
import Glibc
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

  /// A service that a failed test leaves behind ends with it.
  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
  }

  private static func port(in line: String) -> Int? {
    guard line.hasSuffix(" listening"), let place = line.range(of: "port=") else { return nil }
    return Int(line[place.upperBound...].prefix { $0.isNumber })
  }

  var lines: [String] {
    do {
      return try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").map(
        String.init)
    } catch { return [] }
  }

  /// Waits until the log has it.
  func waitForLine(_ isWanted: (String) -> Bool) throws {
    let deadline = Date() + 60
    while !lines.contains(where: isWanted) {
      guard Date() < deadline, process.isRunning else {
        throw HTTPCall.Failure(description: "it is not in the log: \(lines.suffix(10))")
      }
      usleep(10_000)
    }
  }

  var processID: Int32 { process.processIdentifier }

  /// The exit status, or -1 after a signal.
  func wait() -> Int32 {
    process.waitUntilExit()
    return process.terminationReason == .exit ? process.terminationStatus : -1
  }
}
