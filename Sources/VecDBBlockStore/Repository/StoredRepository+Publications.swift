import VecDBBytes
import VecDBFiles

/// Restore points and log by their names: what is to be in a repository, or what was taken out of it.
package struct Publications: Sendable, Equatable {
  /// Of one epoch.
  package struct Folder: Sendable, Equatable {
    /// LSNs of restore points; each is a range of its own length.
    package var points = RangeSet<UInt64>()
    /// LSNs of batches in pieces of the log.
    package var log = RangeSet<UInt64>()

    package init() {}

    package var isEmpty: Bool { points.isEmpty && log.isEmpty }

    package mutating func formUnion(_ other: Folder) {
      points.formUnion(other.points)
      log.formUnion(other.log)
    }

    package mutating func subtract(_ other: Folder) {
      points.subtract(other.points)
      log.subtract(other.log)
    }

    package mutating func formIntersection(_ other: Folder) {
      points.formIntersection(other.points)
      log.formIntersection(other.log)
    }
  }

  package private(set) var folders: [UInt64: Folder] = [:]

  package init() {}

  package init(points: [ManifestEntry], log pieces: [LogPiece]) {
    for entry in points where entry.lsn < .max {
      folders[entry.epochCounter, default: Folder()].points.insert(
        contentsOf: entry.lsn..<entry.lsn + 1)
    }
    for piece in pieces where piece.lastLSN < .max {
      folders[piece.epochCounter, default: Folder()].log.insert(
        contentsOf: piece.firstLSN..<piece.lastLSN + 1)
    }
  }

  package var isEmpty: Bool { folders.isEmpty }

  package func contains(_ other: Publications) -> Bool {
    var rest = other
    rest.subtract(self)
    return rest.isEmpty
  }

  package mutating func formUnion(_ other: Publications) {
    for (epoch, folder) in other.folders { folders[epoch, default: Folder()].formUnion(folder) }
  }

  package mutating func subtract(_ other: Publications) {
    change(by: other) { $0.subtract($1) }
  }

  package mutating func formIntersection(_ other: Publications) {
    change(by: other) { $0.formIntersection($1) }
  }

  private mutating func change(by other: Publications, _ body: (inout Folder, Folder) -> Void) {
    for (epoch, own) in folders {
      var folder = own
      body(&folder, other.folders[epoch] ?? Folder())
      folders[epoch] = folder.isEmpty ? nil : folder
    }
  }

  package func only(_ epochs: Set<UInt64>) -> Publications {
    var part = self
    part.folders = folders.filter { epochs.contains($0.key) }
    return part
  }
}

/// The objects `published/<epoch>` and `pruned`: `VDBPUBL\0`, u32 version, u32 number of epochs; for
/// each u64 epoch, then restore points and log, each as u32 number of ranges and for each range u64
/// first and u64 last; CRC-32C.
extension Publications {
  private static let magic = Array("VDBPUBL\0".utf8)
  private static let version: UInt32 = 1

  package func encode() -> [UInt8] {
    SealedRecord.encode(magic: Self.magic, version: Self.version) { writer in
      writer.write(UInt32(folders.count))
      for (epoch, folder) in folders.sorted(by: { $0.key < $1.key }) {
        writer.write(epoch)
        for set in [folder.points, folder.log] {
          writer.write(UInt32(set.ranges.count))
          for range in set.ranges {
            writer.write(range.lowerBound)
            writer.write(range.upperBound - 1)
          }
        }
      }
    }
  }

  package init(decoding bytes: [UInt8], at place: String) throws {
    self = try SealedRecord.decode(
      bytes, magic: Self.magic, versions: Self.version...Self.version,
      what: "list of what was published", at: place
    ) { _, reader in
      func ranges(_ field: String, _ reader: inout ByteReader) throws -> RangeSet<UInt64> {
        let count = try reader.read(UInt32.self, field)
        guard Int(count) <= reader.remaining / 16 else { throw reader.failure(field) }
        var set = RangeSet<UInt64>()
        for _ in 0..<count {
          let first = try reader.read(UInt64.self, field)
          let last = try reader.read(UInt64.self, field)
          guard first <= last, last < .max else { throw reader.failure(field) }
          set.insert(contentsOf: first..<last + 1)
        }
        return set
      }
      var result = Publications()
      for _ in 0..<(try reader.read(UInt32.self, "number of epochs")) {
        let epoch = try reader.read(UInt64.self, "epoch")
        var folder = Folder()
        folder.points = try ranges("restore points", &reader)
        folder.log = try ranges("log", &reader)
        result.folders[epoch] = folder
      }
      return result
    }
  }
}

/// A file that is gone leaves no trace in a folder. So whoever publishes notes what there is to be,
/// and a prune notes what it takes out, before it does: what is neither there nor taken out is
/// missing.
extension StoredRepository {
  private static let publishedFolder = "published"
  private static let prunedName = "pruned"
  private static let publicationsLimitBytes = 64 << 20

  /// All restore points and log that are there.
  package func contents() throws -> Publications {
    Publications(points: try manifests(), log: try logPieces())
  }

  /// Notes that what is there now, of these epochs, is to be there. Called by whoever has just put
  /// something there.
  package func notePublished(epochs: Set<UInt64>) throws {
    for attempt in 1... {
      do { return try notePublishedOnce(epochs: epochs) } catch let error as StoreError
        where error.kind == .alreadyExists && attempt < Self.noteAttempts
      {
        // Somebody else has noted something meanwhile, which is to stay.
        continue
      }
    }
  }

  private static let noteAttempts = 16

  private func notePublishedOnce(epochs: Set<UInt64>) throws {
    let contents = try contents()
    let pruned = try readable(Self.prunedName)
    for epoch in epochs.sorted() {
      let name = Self.publishedFolder + "/" + fixedWidth(epoch)
      let before = try readable(name)
      var after = before
      after.formUnion(contents.only([epoch]))
      after.subtract(pruned)
      guard after != before else { continue }
      try after.encode().withUnsafeBytes { try replace(name, $0) }
    }
  }

  /// What prunes have taken out. Nothing if that cannot be read.
  package func pruned() throws -> Publications { try readable(Self.prunedName) }

  /// What was published and not pruned, in the epochs that anything was noted of. Throws `.corrupt`.
  package func promised() throws -> Publications {
    var promised = try noted { try publications($0) }
    if try store.info(Self.prunedName) != nil {
      promised.subtract(try publications(Self.prunedName))
    }
    return promised
  }

  /// What was published, was not pruned and is not there. Throws `.corrupt`.
  package func missing() throws -> Publications {
    func look() throws -> Publications {
      var missing = try promised()
      missing.subtract(try contents())
      return missing
    }
    var missing = try look()
    // Others may have published, put together or pruned meanwhile; then it is not missing twice.
    for _ in 0..<2 where !missing.isEmpty {
      try refresh()
      missing.formIntersection(try look())
    }
    return missing
  }

  /// Notes that this is about to be taken out, or is given up. Called under the lock of prunes.
  package func notePruned(_ removed: Publications) throws {
    guard !removed.isEmpty else { return }
    var pruned: Publications
    if let known = try readableIfThere(Self.prunedName) {
      // Kept for ever: who listed the repository before a prune may note later what it took out.
      pruned = known
    } else {
      // Nobody knows any more what was taken out, so that nothing can be called missing.
      pruned = try noted(readable)
      pruned.subtract(try contents())
    }
    pruned.formUnion(removed)
    try pruned.encode().withUnsafeBytes { try replace(Self.prunedName, $0) }
  }

  private func noted(_ read: (String) throws -> Publications) throws -> Publications {
    var all = Publications()
    for text in try store.names(in: Self.publishedFolder) where parseFixedWidth(text) != nil {
      all.formUnion(try read(Self.publishedFolder + "/" + text))
    }
    return all
  }

  private func publications(_ name: String) throws -> Publications {
    try Publications(
      decoding: try get(name, maximumBytes: Self.publicationsLimitBytes), at: store.place(name))
  }

  /// A damaged list is made anew, of what there is: that `verify` has told of it must suffice.
  private func readable(_ name: String) throws -> Publications {
    try readableIfThere(name) ?? Publications()
  }

  /// Nil if it is damaged.
  private func readableIfThere(_ name: String) throws -> Publications? {
    guard try store.info(name) != nil else { return Publications() }
    do { return try publications(name) } catch let error as StoreError where error.kind == .corrupt
    { return nil }
  }
}
