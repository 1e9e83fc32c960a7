import Foundation
import Testing

/// A line of shell with the command as `$vecdb`, for what only a shell does: pipes, closed streams,
/// several processes at once.
enum Shell {
  /// The command's absolute path.
  static var vecdb: String { URL(fileURLWithPath: Command.path).standardizedFileURL.path }

  static func run(_ script: String, in folder: TemporaryFolder) throws -> CommandRun {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", script]
    process.currentDirectoryURL = URL(fileURLWithPath: folder.root)
    process.environment = ProcessInfo.processInfo.environment.merging(
      ["vecdb": vecdb]
    ) { _, new in new }
    let name = UUID().uuidString
    let (output, errors) = ("out-\(name)", "err-\(name)")
    for file in [output, errors] {
      _ = FileManager.default.createFile(atPath: folder.path(file), contents: nil)
    }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(
      forWritingTo: URL(fileURLWithPath: folder.path(output)))
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.path(errors)))
    try process.run()
    process.waitUntilExit()
    return CommandRun(
      status: process.terminationReason == .exit ? process.terminationStatus : -1,
      output: String(decoding: try folder.read(output), as: UTF8.self),
      errors: String(decoding: try folder.read(errors), as: UTF8.self))
  }

  /// As `run`, and requires success.
  @discardableResult
  static func succeed(_ script: String, in folder: TemporaryFolder) throws -> CommandRun {
    let result = try run(script, in: folder)
    try #require(result.status == 0, "\(script): \(result.status) \(result.errors)")
    return result
  }
}

extension TemporaryFolder {
  /// A database `db` with a collection `c` of four dimensions and so many records.
  func database(records: Int = 300) throws {
    try Command.succeed("create", path("db"), "c", "--dimensions", "4", "--metric", "l2")
    guard records > 0 else { return }
    let lines = (0..<records).map {
      "{\"key\":\"k\($0)\",\"vector\":[\($0),1,2,\($0 % 7)],\"metadata\":{\"n\":\($0)}}"
    }
    try write("records.jsonl", lines.joined(separator: "\n") + "\n")
    try Command.succeed("import", path("db"), "c", path("records.jsonl"))
  }

  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }
}
