import Foundation
import Testing

/// What a run of the command gave.
struct CommandRun {
  var status: Int32
  var output: String
  var errors: String

  /// The lines of standard output, each a JSON object.
  var objects: [[String: Any]] {
    get throws {
      try output.split(separator: "\n").map { line in
        let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
        return try #require(value as? [String: Any], "not an object: \(line)")
      }
    }
  }
}

/// The built `vecdb` command, which stands beside the test bundle.
enum Command {
  static let path: String = {
    let bundle = Bundle.main.bundleURL
    // On Linux the main bundle is the directory of the test runner; on macOS the bundle is in it.
    let places =
      [bundle, bundle.deletingLastPathComponent()]
      + Bundle.allBundles.map {
        $0.bundleURL.deletingLastPathComponent()
      }
    return places.map { $0.appendingPathComponent("vecdb").path }.first {
      FileManager.default.isExecutableFile(atPath: $0)
    } ?? "vecdb"
  }()

  /// Runs the command to its end.
  static func run(
    _ arguments: String..., input: String? = nil, environment: [String: String] = [:]
  ) throws -> CommandRun {
    try run(arguments, input: input, environment: environment)
  }

  static func run(
    _ arguments: [String], input: String? = nil, environment: [String: String] = [:]
  ) throws -> CommandRun {
    // Output goes through files, so that no pipe can fill up and block.
    let folder = try TemporaryFolder()
    let running = try Running(arguments, folder: folder, input: input, environment: environment)
    return try running.wait()
  }

  /// Runs the command and requires success.
  @discardableResult
  static func succeed(_ arguments: String...) throws -> CommandRun {
    let result = try run(arguments)
    try #require(
      result.status == 0,
      "vecdb \(arguments.joined(separator: " ")) exited with \(result.status): \(result.errors)")
    return result
  }
}

/// A command that was started.
final class Running {
  private let process = Process()
  private let folder: TemporaryFolder

  init(
    _ arguments: [String], folder: TemporaryFolder, input: String? = nil,
    program: String = Command.path, environment: [String: String] = [:]
  ) throws {
    self.folder = folder
    process.executableURL = URL(fileURLWithPath: program)
    process.currentDirectoryURL = URL(fileURLWithPath: folder.root)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
    process.standardInput = FileHandle.nullDevice
    if let input {
      let file = try folder.write("stdin-\(UUID().uuidString)", input)
      process.standardInput = try FileHandle(forReadingFrom: URL(fileURLWithPath: file))
    }
    process.standardOutput = try Self.create(folder.path("stdout"))
    process.standardError = try Self.create(folder.path("stderr"))
    try process.run()
  }

  func interrupt() { process.interrupt() }

  func kill() { Foundation.kill(process.processIdentifier, SIGKILL) }

  var processID: Int32 { process.processIdentifier }

  func wait() throws -> CommandRun {
    process.waitUntilExit()
    return CommandRun(
      status: process.terminationReason == .exit ? process.terminationStatus : -1,
      output: String(decoding: try folder.read("stdout"), as: UTF8.self),
      errors: String(decoding: try folder.read("stderr"), as: UTF8.self))
  }

  private static func create(_ path: String) throws -> FileHandle {
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    return try FileHandle(forWritingTo: URL(fileURLWithPath: path))
  }
}

/// A folder that is removed with its last reference.
final class TemporaryFolder {
  let root: String

  init() throws {
    root = NSTemporaryDirectory() + "vecdb-command-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  func path(_ name: String) -> String { "\(root)/\(name)" }

  /// Writes a file and returns its path.
  @discardableResult
  func write(_ name: String, _ text: String) throws -> String {
    try write(name, Data(text.utf8))
  }

  @discardableResult
  func write(_ name: String, _ data: Data) throws -> String {
    try data.write(to: URL(fileURLWithPath: path(name)))
    return path(name)
  }

  func read(_ name: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path(name)))
  }

  /// Compresses a file with gzip and returns the new path.
  func gzip(_ name: String) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["gzip", "-kf", path(name)]
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    return path(name) + ".gz"
  }
}
