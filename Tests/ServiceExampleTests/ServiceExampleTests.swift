import Foundation
import Glibc
import Testing
import VecDB
import VecDBBytes

/// The example service as its users run it: it starts, serves, is told to stop, and loses nothing.
@Suite struct ServiceExampleTests {
  private static let dimensions = 8

  private static func vector(_ number: Int) -> [Float] {
    var generator = UInt64(number)
    return (0..<dimensions).map { _ in Float(splitMix64(&generator) % 1_000) / 500 - 1 }
  }

  private static func body(_ number: Int) -> String {
    "{\"vector\":\(vector(number)),\"title\":\"photo \(number)\"}"
  }

  private struct Report: Decodable {
    struct Span: Decodable {
      var name: String
      var id: String
      var parent: String?
      var hasFailed: Bool
    }
    var spans: [Span]
    var counters: [String: Int64]
    var timers: [String: Int]
  }

  private static func lsn(in line: String) -> Int {
    guard let place = line.range(of: "lsn=") else { return 0 }
    return Int(line[place.upperBound...].prefix { $0.isNumber }) ?? 0
  }

  private static func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) async {
    await withTaskGroup(of: Void.self) { tasks in
      for number in 0..<count {
        tasks.addTask {
          await withCheckedContinuation { continuation in
            Thread.detachNewThread {
              body(number)
              continuation.resume()
            }
          }
        }
      }
    }
  }

  /// Writes from several connections until the service ends; returns the keys that were acknowledged.
  private static func write(
    to port: Int, from start: Int, until isEnough: @escaping @Sendable (Int) -> Bool
  ) async -> Set<String> {
    let acknowledged = Guarded<Set<String>>([])
    await onThreads(4) { writer in
      var number = start + writer
      while !isEnough(acknowledged.withLock { $0.count }) {
        do {
          let call = try HTTPCall("PUT", "/photos/p\(number)", body(number), port: port)
          guard call.status == 200 else { return }
          acknowledged.withLock { _ = $0.insert("p\(number)") }
        } catch { return }
        number += 4
      }
    }
    return acknowledged.withLock { $0 }
  }

  @Test func itStartsServesStopsAndLosesNothing() async throws {
    let directory = NSTemporaryDirectory() + "vecdb-example-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let service = try RunningService(
      in: directory,
      environment: [
        "PHOTOS_DATABASE": directory + "/photos.vecdb", "PHOTOS_PORT": "0",
        "PHOTOS_REPOSITORY": directory + "/repository", "PHOTOS_BACKUP_SECONDS": "1",
        "PHOTOS_DIMENSIONS": "\(Self.dimensions)", "PHOTOS_REPORT": directory + "/report",
        "PHOTOS_LOG_LEVEL": "debug", "VECDB_SLOW_SEARCH_MILLISECONDS": "0",
        "VECDB_CONTROL_SOCKET": "false",
      ])
    let port = service.port
    let deadline = Date() + 60
    while try HTTPCall("GET", "/ready", port: port).status != 200 {
      try #require(Date() < deadline, "the service is not ready")
      usleep(10_000)
    }

    let first = await Self.write(to: port, from: 0) { $0 >= 100 }
    #expect(first.count >= 100)
    let found = try HTTPCall(
      "POST", "/search", "{\"vector\":\(Self.vector(42)),\"k\":1}", port: port)
    #expect(found.status == 200 && found.body.contains("\"p42\""), "\(found)")
    let refused = try HTTPCall("POST", "/search", "{\"vector\":[1],\"k\":1}", port: port)
    #expect(refused.status == 400 && refused.body.contains("dimensions"), "\(refused)")
    try service.waitForLine { $0.hasSuffix("backed up") && Self.lsn(in: $0) > 50 }

    // Told to stop in the middle of writes.
    let isTold = Guarded(false)
    let processID = service.processID
    let second = await Self.write(to: port, from: 100_000) { count in
      if count >= 50,
        isTold.withLock({ told in
          defer { told = true }
          return !told
        })
      {
        kill(processID, SIGTERM)
      }
      return false
    }
    #expect(second.count >= 50)
    #expect(service.wait() == 0, "\(service.lines.suffix(5))")
    try await Self.requireAll(first.union(second), in: directory)
    try Self.requireReport(directory + "/report", writes: first.count + second.count)
    try Self.requireLog(service.lines)
  }

  private static func requireAll(_ keys: Set<String>, in directory: String) async throws {
    let path = directory + "/photos.vecdb"
    let database = try await Database.open(at: path)
    let photos = try database.collection("photos")
    for key in keys {
      let record = try photos.get(key)
      #expect(record?.vector == vector(Int(key.dropFirst()) ?? -1), "\(key)")
    }
    #expect(try await database.check().problems == [])
    try await database.close()
    // What was backed up in the background can be restored.
    let copy = directory + "/copy.vecdb"
    _ = try await Database.restore(from: directory + "/repository", to: copy)
    let restored = try await Database.open(at: copy)
    #expect(try restored.collection("photos").count > 0)
    try await restored.close()
  }

  private static func requireReport(_ path: String, writes: Int) throws {
    let report = try JSONDecoder().decode(
      Report.self, from: try Data(contentsOf: URL(fileURLWithPath: path)))
    let requests = Dictionary(
      report.spans.filter { $0.name.hasPrefix("/photos/") }.map { ($0.id, $0) },
      uniquingKeysWith: { first, _ in first })
    #expect(requests.count >= writes, "\(Set(report.spans.map(\.name)))")
    let commits = report.spans.filter { $0.name == "commit" }
    #expect(!commits.isEmpty && commits.count <= writes + 10)
    #expect(commits.contains { $0.parent.map { requests[$0] != nil } ?? false })
    let searches = report.spans.filter { $0.name == "search photos" }
    let asked = report.spans.first { $0.name == "/search" && !$0.hasFailed }
    #expect(searches.count == 1 && searches.first?.parent == asked?.id, "\(searches)")
    for name in ["open", "checkpoint", "backup"] {
      #expect(report.spans.contains { $0.name == name && !$0.hasFailed }, "\(name)")
    }
    #expect((report.counters["vecdb_batches_total"] ?? 0) >= Int64(writes))
    #expect((report.counters["vecdb_checkpoints_total"] ?? 0) >= 1)
    #expect(report.counters["vecdb_poisoned_total"] == 0)
    #expect(report.timers["vecdb_search_seconds"] == 1)
    #expect((report.timers["vecdb_log_append_seconds"] ?? 0) > 0)
  }

  private static func requireLog(_ lines: [String]) throws {
    #expect(lines.contains { $0.contains(" debug photos") && $0.contains("opened the database") })
    #expect(lines.contains { $0.contains(" debug photos") && $0.contains("wrote a checkpoint") })
    let troubles = lines.filter {
      $0.contains(" warning ") || $0.contains(" error ") || $0.contains(" critical ")
    }
    #expect(troubles.isEmpty, "\(troubles)")
  }
}
