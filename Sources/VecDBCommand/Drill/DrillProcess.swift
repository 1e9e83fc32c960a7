import Foundation
import Glibc
import VecDB
import VecDBReplication

/// A `vecdb` that a rehearsal runs beside itself, so that it can be killed for real.
final class DrillProcess {
  private let process = Process()
  private let output: String

  /// Starts `vecdb` with these arguments; what it prints goes to a file.
  init(_ arguments: [String], output: String) throws {
    self.output = output
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = arguments
    _ = FileManager.default.createFile(atPath: output, contents: nil)
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
    process.standardError = FileHandle(
      fileDescriptor: open(output + ".err", O_WRONLY | O_CREAT | O_TRUNC, 0o644),
      closeOnDealloc: true)
    process.standardInput = FileHandle.nullDevice
    try process.run()
  }

  var isRunning: Bool { process.isRunning }

  /// SIGKILL, and waits until it is gone.
  func kill() {
    if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
  }

  func signal(_ number: Int32) { Glibc.kill(process.processIdentifier, number) }

  /// SIGTERM, and waits for a clean end.
  func terminate() {
    if process.isRunning { process.terminate() }
    process.waitUntilExit()
  }

  /// Waits for it to end by itself; throws what it said if it failed.
  func finish() async throws {
    while process.isRunning { try await Task.sleep(nanoseconds: 10_000_000) }
    guard process.terminationStatus == 0 else {
      throw VecDBError(.inputOutput, "a process of the rehearsal failed: \(complaint)")
    }
  }

  /// What it wrote to standard error.
  var complaint: String {
    do { return try String(contentsOfFile: output + ".err", encoding: .utf8) } catch { return "" }
  }
}

/// What a rehearsal knows to be acknowledged: the receipts of an import.
struct DrillReceipts {
  struct Line: Decodable {
    var epoch: UInt64
    var lsn: UInt64
    var rows: Int
  }

  private(set) var lines: [Line] = []

  /// Whole lines of the file; one that was cut off by a kill was not acknowledged.
  init(path: String) throws {
    guard FileManager.default.fileExists(atPath: path) else { return }
    let text = try String(contentsOfFile: path, encoding: .utf8)
    guard let end = text.lastIndex(of: "\n") else { return }
    lines = try text[..<end].split(separator: "\n").map {
      try JSONDecoder().decode(Line.self, from: Data($0.utf8))
    }
  }

  /// Rows acknowledged, counted from the start of the file that was imported.
  var rows: Int { lines.last?.rows ?? 0 }
}
