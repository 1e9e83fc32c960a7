import VecDBBytes
import VecDBFiles
import VecDBLogStore

/// What a copy wrote that is not part of the history it is to follow, saved before it is given up.
package struct DivergentTail: Sendable, Hashable, Codable {
  /// The last LSN that both histories have.
  package var afterLSN: UInt64
  package var throughLSN: UInt64
  package var batches: Int
  package var records: Int
  package var deletes: Int
  /// The log frames, complete and with their chain.
  package var frames: String
  /// One file of JSON lines for each collection, which `vecdb import` reads.
  package var imports: [String]
  /// The keys that were deleted, as JSON lines with collection and key; nil if there are none.
  package var deletions: String?
}

extension Database {
  /// Saves everything after `position` beside the database: the frames as a log stream, the records
  /// as JSON lines in the order in which they were written, the deleted keys. Nil if there is
  /// nothing. Durable on return.
  package func saveTail(after position: LogPosition) async throws -> DivergentTail? {
    try await writer.exclusively { engine in
      let first = max(position.lsn, engine.log.firstLSN - 1)
      guard engine.state.lsn > first else { return nil }
      let path = engine.directory.path
      let name =
        "\(directoryName(path))/\(boundedFileName(fileName(path), bytes: 100)).tail-"
        + "epoch\(engine.epochCounter)-lsn\(first + 1)-\(engine.state.lsn)"
      var writer = TailWriter(engine: engine, name: name, after: first)
      try engine.log.read(after: first) { try writer.add($0) }
      return try writer.finish()
    }
  }
}

/// Writes the files of a saved tail, frame by frame.
private struct TailWriter {
  private let engine: Engine
  private let name: String
  private let start: UInt64
  private var frames: AppendingFile?
  private var imports: [String: AppendingFile] = [:]
  private var deletions: AppendingFile?
  private var collections: [UInt32: (name: String, runtime: CollectionRuntime?)] = [:]
  private var tail: DivergentTail
  private var end = LogPosition.zero

  init(engine: Engine, name: String, after lsn: UInt64) {
    self.engine = engine
    self.name = name
    start = lsn
    tail = DivergentTail(
      afterLSN: lsn, throughLSN: lsn, batches: 0, records: 0, deletes: 0,
      frames: name + ".frames", imports: [], deletions: nil)
    for collection in engine.state.sortedCollections {
      collections[collection.id] = (collection.definition.name, collection)
    }
  }

  mutating func add(_ frame: LogFrame) throws {
    if frames == nil {
      let file = try AppendingFile(tail.frames, engine.fileSystem)
      try file.append(
        LogFrameStream.header(
          identity: engine.log.identity, start: try engine.log.position(at: start)))
      frames = file
    }
    try frames?.append(frame.encoded())
    end = frame.position
    tail.throughLSN = frame.lsn
    tail.batches += 1
    try DecodedBatch.with(frame.payload, lsn: frame.lsn) { batch in
      switch batch {
      case .create(let definition): collections[definition.id] = (definition.name, nil)
      case .write(let write): try add(write)
      default: break
      }
    }
  }

  private mutating func add(_ write: DecodedBatch.WriteBatch) throws {
    guard let (collection, runtime) = collections[write.collection] else { return }
    let born = Set(write.births.map { Array($0.key) })
    for slot in write.deaths {
      guard let key = runtime?.key(of: slot), !born.contains(Array(key.utf8)) else { continue }
      var line = JSONWriter()
      line.beginObject()
      line.name("collection")
      line.write(collection)
      line.name("key")
      line.write(key)
      line.endObject()
      line.endLine()
      if deletions == nil {
        tail.deletions = name + ".deleted.jsonl"
        deletions = try AppendingFile(name + ".deleted.jsonl", engine.fileSystem)
      }
      try deletions?.append(line.bytes)
      tail.deletes += 1
    }
    for birth in write.births {
      if imports[collection] == nil {
        let path = "\(name).\(Self.fileSafe(collection)).jsonl"
        imports[collection] = try AppendingFile(path, engine.fileSystem)
        tail.imports.append(path)
      }
      var line = JSONWriter()
      try line.writeRecord(
        key: String(decoding: birth.key, as: UTF8.self), vector: birth.vector,
        canonicalMetadata: birth.metadata,
        expiryMilliseconds: birth.expiryMilliseconds == 0 ? nil : birth.expiryMilliseconds)
      try imports[collection]?.append(line.bytes)
      tail.records += 1
    }
  }

  /// A collection's name as part of a file's: what is not a letter, digit, dash or underscore
  /// becomes its bytes in hexadecimal.
  private static func fileSafe(_ name: String) -> String {
    let safe = name.utf8.map { byte -> String in
      let scalar = UnicodeScalar(byte)
      let isPlain =
        byte < 128 && (scalar.properties.isAlphabetic || (48...57).contains(byte))
        || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
      return isPlain ? String(Character(scalar)) : "%" + String(byte, radix: 16)
    }.joined()
    return boundedFileName(safe, bytes: 60)
  }

  mutating func finish() throws -> DivergentTail? {
    guard let frames else { return nil }
    try frames.append(LogFrameStream.trailer(end: end))
    for file in [frames, deletions].compactMap({ $0 }) + imports.values { try file.finish() }
    try engine.fileSystem.syncDirectory(directoryName(name))
    return tail
  }
}

/// A file that is only appended to.
private final class AppendingFile {
  private let handle: any FileHandle
  private var offset = 0

  init(_ path: String, _ files: any FileSystem) throws {
    handle = try files.open(path, .createOrTruncate)
  }

  func append(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try handle.write($0, at: offset) }
    offset += bytes.count
  }

  func finish() throws { try handle.sync() }
}
