import Foundation
import Testing
import VecDB
import VecDBBytes
import VecDBIndex

/// Candidates that were tampered with are refused, with what and by how much.
@Suite struct RebuildGateTests {
  enum Sabotage: CaseIterable {
    case shuffledLinks
    case brokenGraph
    case halfMissing
    case wrongScale
    case alteredVectors
  }

  /// The same index with some bytes changed.
  private static func tampered(_ index: IndexGeneration, _ sabotage: Sabotage) throws
    -> IndexGeneration
  {
    // All blocks, though some have been in a checkpoint already.
    let probe = index.beginCheckpoint()
    let names = probe.arrays.map { ($0.name, $0.lengthBytes) }
    probe.abandon()
    for (name, length) in names {
      for block in 0...(length >> 20) { index.markDirty(array: name, block: block) }
    }
    let snapshot = index.beginCheckpoint()
    defer { snapshot.abandon() }
    var state = snapshot.state
    if sabotage == .wrongScale, let scale = index.quantizer?.scale {
      let old = withUnsafeBytes(of: scale.bitPattern.littleEndian) { Array($0) }
      let new = withUnsafeBytes(of: (scale * 3).bitPattern.littleEndian) { Array($0) }
      if let start = (0..<state.count - 4).first(where: { Array(state[$0..<$0 + 4]) == old }) {
        state.replaceSubrange(start..<start + 4, with: new)
      }
    }
    var arrays: [String: [UInt8]] = [:]
    for (number, array) in snapshot.arrays.enumerated() {
      var bytes: [UInt8] = []
      for block in array.dirtyBlocks { bytes += snapshot.read(array: number, block: block) }
      #expect(bytes.count == array.lengthBytes)
      tamper(&bytes, array.name, array.strideBytes, sabotage)
      arrays[array.name] = bytes
    }
    let loaded = arrays
    return try IndexGeneration(opening: state) { name, length, base in
      guard let bytes = loaded[name], bytes.count == length else { return }
      bytes.withUnsafeBytes { base.copyMemory(from: $0.baseAddress!, byteCount: length) }
    }
  }

  private static func tamper(
    _ bytes: inout [UInt8], _ name: String, _ stride: Int, _ sabotage: Sabotage
  ) {
    switch (sabotage, name) {
    case (.shuffledLinks, "links"):
      // Each node gets its neighbour's row.
      let row = Array(bytes[..<stride])
      bytes.removeFirst(stride)
      bytes += row
    case (.brokenGraph, "links"):
      for index in bytes.indices.suffix(bytes.count / 2) { bytes[index] = 0xff }
    case (.halfMissing, "lifetimes"):
      for row in Swift.stride(from: 0, to: bytes.count / 16, by: 2) {
        // Died in the batch that it was born in, or before anybody looks.
        bytes.replaceSubrange(row * 16 + 8..<row * 16 + 16, with: [1, 0, 0, 0, 0, 0, 0, 0])
      }
    case (.alteredVectors, "exact"):
      for row in 0..<3 where bytes.count > row * stride { bytes[row * stride + 2] ^= 0x40 }
    default: break
    }
  }

  @Test(arguments: Sabotage.allCases)
  func `a sabotaged candidate is refused`(sabotage: Sabotage) async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: RebuildTests.stepped())
    let items = try await database.createCollection(
      "items", dimensions: RebuildTests.dimensions, metric: .l2)
    try await RebuildTests.fill(items, count: 3_000)
    let before = try database.stats()
    var options = RebuildOptions()
    options.keepsRefused = true
    options.gate.latencyFactor = 100
    // With so easy a search the wrong scale would hardly show: the gate is told to measure at k.
    options.gate.efSearch = 10
    try await items.beginRebuild(options)
    while try items.rebuildStatus().stage != "validating" {
      // The machine tells the stage of the step just done: the gate is next.
      if let other = items.otherGeneration, other.appliedLSN > 0 { break }
      _ = database.stepRebuilds()
    }
    let candidate = try #require(items.otherGeneration)
    items.replaceCandidate(with: try Self.tampered(candidate, sabotage))
    for _ in 0..<10 { _ = database.stepRebuilds() }
    let status = try items.rebuildStatus()
    #expect(status.stage == "refused", "\(status)")
    let refusal = status.gate?.refusals.joined(separator: "; ") ?? ""
    print("\(sabotage): \(refusal)")
    switch sabotage {
    case .halfMissing: #expect(refusal.contains("live records are missing"))
    case .alteredVectors: #expect(refusal.contains("have another vector, key or hash"))
    case .shuffledLinks, .brokenGraph: #expect(refusal.contains("breaks its rules"))
    case .wrongScale: #expect(refusal.contains("below the required"))
    }
    #expect(refusal.contains { $0.isNumber })
    // The old one serves on, and the refused one goes when it is told to.
    #expect(try database.stats().dataDigest == before.dataDigest)
    #expect(try RebuildTests.recall(items) > 0.95)
    try await items.cancelRebuild()
    #expect(try items.rebuildStatus().lastOutcome.contains("cancelled on request"))
    #expect(items.otherGeneration == nil)
    try await database.close()
  }

  @Test func `a refusal that is not to be kept ends the rebuild with its reason`() async throws {
    let directory = try TemporaryDirectory()
    let database = try await Database.open(
      at: directory.file("db"), configuration: RebuildTests.stepped())
    let items = try await database.createCollection(
      "items", dimensions: RebuildTests.dimensions, metric: .l2)
    try await RebuildTests.fill(items, count: 2_000)
    var options = RebuildOptions(m: 4, efConstruction: 8)
    options.gate.minimumRecall = 1
    options.gate.efSearch = 10
    options.gate.latencyFactor = 100
    try await items.beginRebuild(options)
    for _ in 0..<1_000 where try items.rebuildStatus().stage != "none" {
      _ = database.stepRebuilds()
    }
    let status = try items.rebuildStatus()
    #expect(status.lastOutcome.contains("the gate refused it: recall@10 at efSearch 10 is 0."))
    #expect(status.lastOutcome.contains("below the required 1.0"))
    #expect(status.m == 16)
    try await database.close()
  }

  @Test func `facts speak for a rebuild`() {
    var facts = RebuildFacts()
    facts.nodes = 10_000
    #expect(facts.reason == nil)
    facts.deadNodes = 3_000
    #expect(facts.reason == "3000 of 10000 nodes of the graph are dead")
    facts.deadNodes = 0
    facts.components = 1_000
    facts.clipped = 11
    #expect(facts.reason == nil, "codes that are measured need no range")
    facts.mayGain = true
    #expect(facts.reason?.contains("outside the range") == true)
    facts.mayGain = false
    facts.clipped = 0
    facts.firstRecall = 0.99
    facts.recall = 0.95
    #expect(facts.reason == "recall of fresh queries fell from 0.99 to 0.95")
    facts.firstRecall = 0.5
    facts.recall = 0.5
    #expect(facts.reason == nil, "another build would find no more")
    facts.mayGain = true
    #expect(facts.reason == "recall of fresh queries is 0.5, below 0.9")
  }
}
