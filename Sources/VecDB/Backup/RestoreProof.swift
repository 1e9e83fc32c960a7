import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBIndex
import VecDBLogStore
import VecDBThreads

/// What a restored state must pass before it goes live.
struct RestoreProof {
  let verification: RestoreVerification
  var cancellation = Cancellation()

  /// Recall may be lower by this much, and by three standard deviations of what chance makes of so
  /// few queries, if the canaries stored with the backup were measured while writes went on;
  /// otherwise it must be equal, since equal state gives equal answers.
  static let recallTolerance = 0.02

  private static func tolerance(_ entry: CanaryReport.Entry) -> Double {
    let answers = Double(max(1, entry.queries * entry.k))
    let variance = max(entry.recall * (1 - entry.recall), 0.01) / answers
    return recallTolerance + 3 * (2 * variance).squareRoot()
  }

  /// Holds the state of the manifest, before any log is replayed, against what the manifest says.
  func proveManifest(
    _ manifest: Manifest, _ state: DatabaseState
  ) throws -> (stored: CanaryReport?, measured: CanaryReport?) {
    for stored in manifest.collections {
      guard let collection = state.collections[stored.id],
        collection.dataDigest == stored.dataDigest, collection.count == Int(stored.count)
      else {
        throw failed("the data of '\(stored.name)' is not what the backup recorded")
      }
    }
    guard verification == .full else { return (nil, nil) }
    let stored = try CanaryAnnotation(in: manifest)
    let report = CanaryReport(
      collections: try state.collections.values.sorted {
        $0.definition.name.utf8.lexicographicallyPrecedes($1.definition.name.utf8)
      }.map {
        try cancellation.check()
        return try Canaries.measureForRestore($0)
      })
    if let stored { try compare(report, with: stored, manifest) }
    return (stored?.report, report)
  }

  private func compare(
    _ measured: CanaryReport, with stored: CanaryAnnotation, _ manifest: Manifest
  ) throws {
    let isExact = stored.lsn == manifest.lsn && stored.version == Canaries.version
    for entry in stored.report.collections {
      guard let now = measured.collections.first(where: { $0.collection == entry.collection })
      else {
        let isRestored = manifest.collections.contains { $0.name == entry.collection }
        if isExact, isRestored { throw failed("the collection '\(entry.collection)' is missing") }
        continue
      }
      let loss = entry.recall - now.recall
      if isExact ? now.recall != entry.recall : loss > Self.tolerance(entry) {
        throw failed(
          "recall of '\(entry.collection)' is \(now.recall); the backup measured \(entry.recall)")
      }
    }
  }

  /// Holds the final state against itself and its records.
  func proveState(_ state: DatabaseState, _ records: RecordStore) throws {
    var problems = try records.quickCheck(isThorough: verification == .full)
    for collection in state.sortedCollections {
      try cancellation.check()
      let check = CollectionCheck(
        collection: collection, records: records, cancellation: cancellation)
      problems += try verification == .full ? check.all() : check.structure()
    }
    if let first = problems.first {
      throw failed("\(first)\(problems.count > 1 ? " and \(problems.count - 1) more" : "")")
    }
  }

  private func failed(_ what: String) -> VecDBError {
    VecDBError(
      .verificationFailed, "the restored copy did not pass its proof: \(what)",
      remedy: "No copy is live. Run `vecdb verify`, and restore another restore point.")
  }
}
