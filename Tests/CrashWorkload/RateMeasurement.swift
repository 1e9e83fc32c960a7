import Foundation
import VecDB

/// How fast writes become durable: single upserts by 1, 8 and 64 writers beside plain appends with
/// `fdatasync` on the same disk, in turn; or batches of a thousand.
struct RateMeasurement {
  let directory: String
  static let dimensions = 384
  /// Short turns, since the speed of a disk varies from second to second.
  private static let turnSeconds = 0.5

  /// Prints the medians of `rounds` turns of each.
  func single(rounds: Int) async throws {
    let counts = [1, 8, 64]
    var raw: [Double] = []
    var rates: [Int: [Double]] = [:]
    var configuration = DatabaseConfiguration()
    configuration.scrubBytesPerSecond = nil
    configuration.controlSocket = false
    let database = try await Database.open(
      at: directory + "/single", configuration: configuration)
    let collection = try await database.createCollection(
      "c", dimensions: Self.dimensions, metric: .l2)
    for round in 0..<rounds {
      raw.append(try rawRate())
      for count in counts {
        rates[count, default: []].append(try await rate(collection, writers: count, round))
      }
    }
    try await database.close()
    let one = Self.median(rates[1] ?? [])
    let disk = Self.median(raw)
    print("raw append and fdatasync: \(Int(disk)) a second")
    print("| writers | durable upserts a second | of one writer | of the raw rate |")
    print("|---:|---:|---:|---:|")
    for count in counts {
      let rate = Self.median(rates[count] ?? [])
      print(
        "| \(count) | \(Int(rate)) | \(Self.decimal(rate / one)) x "
          + "| \(Int(rate / disk * 100)) % |")
    }
  }

  /// Prints records a second of an import in batches of a thousand.
  func bulk(batches: Int) async throws {
    var configuration = DatabaseConfiguration()
    configuration.scrubBytesPerSecond = nil
    configuration.controlSocket = false
    let path = directory + "/bulk"
    try? FileManager.default.removeItem(atPath: path)
    let database = try await Database.open(at: path, configuration: configuration)
    let collection = try await database.createCollection(
      "c", dimensions: Self.dimensions, metric: .l2)
    var generator = SplitMix64(seed: 1)
    let prepared = (0..<batches).map { batch in
      (0..<1_000).map { Self.record("\(batch)-\($0)", &generator) }
    }
    let started = Date()
    for records in prepared { try await collection.upsert(records) }
    let seconds = Date().timeIntervalSince(started)
    print(Int(Double(batches * 1_000) / seconds))
    try await database.close()
  }

  private static func record(_ key: String, _ generator: inout SplitMix64) -> VectorRecord {
    VectorRecord(
      key: key,
      vector: (0..<dimensions).map { _ in Float.random(in: -1...1, using: &generator) })
  }

  private func rate(
    _ collection: VectorCollection, writers: Int, _ round: Int
  ) async throws -> Double {
    let started = Date()
    let deadline = started.addingTimeInterval(Self.turnSeconds)
    let done = try await withThrowingTaskGroup(of: Int.self) { group in
      for writer in 0..<writers {
        group.addTask {
          var generator = SplitMix64(seed: UInt64(round * 1_000 + writer))
          var count = 0
          repeat {
            try await collection.upsert(
              Self.record("\(writers)-\(writer)-\(round)-\(count)", &generator))
            count += 1
          } while Date() < deadline
          return count
        }
      }
      return try await group.reduce(0, +)
    }
    return Double(done) / Date().timeIntervalSince(started)
  }

  /// Appends of 2 KB, each made durable, a second.
  private func rawRate() throws -> Double {
    let path = directory + "/raw"
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    guard file >= 0 else { throw Receipts.Failure(description: "\(path) cannot be written") }
    defer {
      close(file)
      unlink(path)
    }
    let bytes = [UInt8](repeating: 7, count: 2_048)
    let started = Date()
    var count = 0
    repeat {
      guard write(file, bytes, bytes.count) == bytes.count, fdatasync(file) == 0 else {
        throw Receipts.Failure(description: "\(path) cannot be made durable")
      }
      count += 1
    } while Date().timeIntervalSince(started) < Self.turnSeconds
    return Double(count) / Date().timeIntervalSince(started)
  }

  private static func median(_ values: [Double]) -> Double {
    values.isEmpty ? 0 : values.sorted()[values.count / 2]
  }

  private static func decimal(_ value: Double) -> String {
    "\((value * 10).rounded() / 10)"
  }
}
