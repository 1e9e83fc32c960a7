import VecDBBytes
import VecDBFiles

extension RecordStore {
  /// Pages that are compared in one piece, while writing waits.
  private static let pagesPerPiece = 64

  /// What SQLite finds wrong with the file's structure; empty if nothing. `isThorough` also
  /// compares the key index with the table.
  package func quickCheck(isThorough: Bool = false) throws -> [String] {
    try withReader { reader in
      let pragma = try reader.prepare(
        isThorough ? "PRAGMA integrity_check" : "PRAGMA quick_check")
      var findings: [String] = []
      while try pragma.step() { findings.append(pragma.string(0)) }
      return findings == ["ok"] ? [] : findings
    }
  }

  /// Reads every page of the main file from the disk, past SQLite's cache, and names those that do
  /// not match their checksum. `pace` is told of the bytes of each piece, between which the writer
  /// goes on.
  package func damagedPages(pace: (Int) throws -> Void = { _ in }) throws -> [String] {
    var findings: [String] = []
    var next = 1
    while true {
      let (damaged, read) = try withWriter {
        try $0.damagedPages(from: next, count: Self.pagesPerPiece)
      }
      findings += damaged.map { "page \($0) does not match its checksum (\(path))" }
      guard read > 0 else { return findings }
      next += read
      try pace(read * Self.pageSizeBytes)
    }
  }

  /// Replaces a file of which something is damaged but every record can be read, key index and
  /// unused pages then, by a new one with the same rows. False if nothing is wrong. Throws
  /// `.corrupt` if a record cannot be read or two have one key; the file stays as it was.
  package static func rewriteIfDamaged(
    path: String, fileSystem: any FileSystem, databaseID: UniqueID
  ) throws -> Bool {
    let store = try open(path: path, fileSystem: fileSystem, databaseID: databaseID)
    let isDamaged: Bool
    do {
      let isSound = try store.quickCheck(isThorough: true).isEmpty && store.damagedPages().isEmpty
      isDamaged = !isSound
      if isDamaged {
        try building(beside: path, fileSystem, databaseID) { unfinished in
          try store.copyRows(to: unfinished, databaseID)
          try store.close()
          // What the WAL held is in the new file.
          try fileSystem.removeTree(path + "-wal")
          try fileSystem.rename(unfinished, to: path)
          try fileSystem.syncDirectory(directoryName(path))
        }
      }
    } catch {
      store.abandon()
      throw error
    }
    if !isDamaged { try store.close() }
    return isDamaged
  }

  /// Reads the table alone.
  private func copyRows(to path: String, _ databaseID: UniqueID) throws {
    let copy = try Self.open(path: path, fileSystem: fileSystem, databaseID: databaseID)
    do {
      try withWriter { writer in
        let select = try writer.prepare(
          "SELECT collection, \(Self.columns) FROM records ORDER BY collection, slot")
        var isDone = false
        while !isDone {
          var changes: [RecordChange] = []
          while changes.count < 1_024, !isDone {
            isDone = try !select.step()
            if !isDone {
              changes.append(
                .insert(
                  collection: UInt32(truncatingIfNeeded: select.int64(0)),
                  Self.row(select, from: 1)))
            }
          }
          try copy.withWriter { target in
            try target.transaction { for change in changes { try copy.apply(change, target) } }
          }
        }
      }
      try copy.apply([], through: appliedLSN, chain: appliedChain)
      try copy.close()
    } catch {
      copy.abandon()
      throw error
    }
  }
}
