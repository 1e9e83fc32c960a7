import Foundation
import Testing
import VecDB
import VecDBLogStore

/// Handles that are dropped, and searches of async callers.
@Suite struct HandleTests {
  private func use(_ path: String, round: Int) async throws {
    let database = try await Database.open(at: path)
    let collection =
      try round == 0
      ? await database.createCollection("c", dimensions: 8, metric: .l2)
      : database.collection("c")
    #expect(collection.count == min(round, 3) * 400)
    try await collection.upsert(
      (0..<400).map { number in
        VectorRecord(
          key: "\(round % 3) \(number)", vector: (0..<8).map { Float(number * $0 + round) })
      })
  }

  @Test func whatWasDroppedCanBeOpenedAgainAtOnce() async throws {
    let directory = try TemporaryDirectory()
    for round in 0..<25 { try await use(directory.file("d"), round: round) }
    // One that is still held is named as before.
    let held = try await Database.open(at: directory.file("d"))
    await expectError(.locked) { _ = try await Database.open(at: directory.file("d")) }
    try await held.close()
  }

  @Test func nearestIsSearchOnOtherThreads() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(at: directory.file("d"))
    let collection = try await database.createCollection("c", dimensions: 8, metric: .l2)
    var random = SeededGenerator(seed: 9)
    try await collection.upsert(
      (0..<2_000).map { VectorRecord(key: "\($0)", vector: random.vector(8)) })
    let queries = (0..<200).map { _ in random.vector(8) }
    let found = try await withThrowingTaskGroup(of: (Int, [String]).self) { group in
      for (number, query) in queries.enumerated() {
        group.addTask { (number, try await collection.nearest(query, k: 5).hits.map(\.key)) }
      }
      return try await group.reduce(into: [Int: [String]]()) { $0[$1.0] = $1.1 }
    }
    for (number, query) in queries.enumerated() {
      #expect(try collection.search(query, k: 5).hits.map(\.key) == found[number])
    }
    await expectError(.invalidArgument) { _ = try await collection.nearest([1], k: 1) }
    let cancelled = Task {
      try await Task.sleep(nanoseconds: 1_000_000_000)
      return try await collection.nearest(queries[0])
    }
    cancelled.cancel()
    await #expect(throws: (any Error).self) { try await cancelled.value }
    try await database.close()
  }

  /// Names of files that are made of other names are bounded, whatever those are.
  @Test func aSavedTailHasShortNames() async throws {
    let directory = try TemporaryDirectory()
    let name = String(repeating: "向量", count: 40)
    let other = String(repeating: "向量", count: 39) + "数据"
    let path = directory.file(String(repeating: "d", count: 225))
    let database = try await Database.open(at: path)
    for name in [name, other] {
      let collection = try await database.createCollection(name, dimensions: 2, metric: .l2)
      try await collection.upsert(VectorRecord(key: "k", vector: [1, 2]))
      try await collection.delete("k")
    }
    let tail = try #require(try await database.saveTail(after: .zero))
    #expect(Set(tail.imports).count == 2)
    for file in [tail.frames] + tail.imports {
      #expect(FileManager.default.fileExists(atPath: file), "\(file)")
    }
    try await database.close()
  }
}
