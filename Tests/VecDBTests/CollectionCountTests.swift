import Foundation
import Testing
import VecDB

/// As many collections as the limit allows, whatever the machine's memory.
@Suite struct CollectionCountTests {
  @Test func aThousandCollectionsAreMadeAndOpenedAgain() async throws {
    let directory = try TemporaryDirectory()
    var configuration = DatabaseConfiguration()
    configuration.controlSocket = false
    configuration.scrubBytesPerSecond = nil
    var database = try await Database.open(at: directory.file("db"), configuration: configuration)
    for number in 0..<DatabaseLimits.maximumCollections {
      let items = try await database.createCollection(
        "c\(number)", dimensions: 768, metric: .cosine)
      if number % 100 == 0 {
        try await items.upsert(
          VectorRecord(
            key: "k", vector: [Float](repeating: Float(number + 1), count: 768),
            metadata: ["number": .integer(Int64(number))]))
      }
    }
    await expectError(.limitExceeded) {
      try await database.createCollection("more", dimensions: 2, metric: .l2)
    }
    try await database.close()
    database = try await Database.open(at: directory.file("db"), configuration: configuration)
    #expect(try database.collections().count == DatabaseLimits.maximumCollections)
    #expect(try database.collection("c900").get("k")?.vector.first == 901)
    try await database.close()
  }
}
