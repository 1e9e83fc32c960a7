import Synchronization
import VecDBBytes

/// The small state: what is not in the arrays. Together with them it is the whole generation.
extension IndexGeneration {
  private static let magic: UInt32 = 0x5349_5856  // "VXIS"
  private static let version: UInt16 = 6
  /// The version of 0.1, which knows nothing of how the codes fit.
  fileprivate static let versionWithoutFit: UInt16 = 5

  /// Magic, version, parameters, counts, free space, quantiser, digest, columns, and the
  /// length of every array.
  package func encodeState() -> [UInt8] {
    var writer = ByteWriter(reservingCapacity: 1_024)
    writer.write(Self.magic)
    writer.write(Self.version)
    writer.write(counted: parameters.encode())
    writer.write(appliedLSN)
    writer.write(publishedLSN.load(ordering: .relaxed))
    writer.write(UInt64(slotCount.load(ordering: .relaxed)))
    writer.write(UInt64(graphCount.load(ordering: .relaxed)))
    writer.write(UInt64(entryPoint.load(ordering: .relaxed)))
    writer.write(UInt64(deadCount.load(ordering: .relaxed)))
    writer.write(UInt64(absentCount.load(ordering: .relaxed)))
    writer.write(UInt64(freeCount.load(ordering: .relaxed)))
    writer.write(freeHead)
    writer.write(freeExactRow)
    writer.write(reuseSequence.load(ordering: .relaxed))
    let chunks = freeKeyChunks.enumerated().compactMap { size, chunk in chunk.map { (size, $0) } }
    writer.write(UInt32(chunks.count))
    for (size, chunk) in chunks {
      writer.write(UInt32(size))
      writer.write(chunk)
    }
    writer.write(clippedCount)
    writer.write(dataDigest.sum)
    writer.write(UInt8(quantizer == nil ? 0 : 1))
    quantizer?.write(to: &writer)
    writer.write(UInt8(usesRows ? 1 : 0))
    writer.write(excessLimit)
    codeFit.write(to: &writer)
    let columnCount = columnCount.load(ordering: .relaxed)
    writer.write(UInt32(columnCount))
    for number in 0..<columnCount { writer.write(counted: columns[number]?.field ?? []) }
    let arrays = checkpointArrays
    writer.write(UInt32(arrays.count))
    for array in arrays {
      writer.write(array.name)
      writer.write(UInt64(array.lengthBytes))
    }
    return writer.bytes
  }

  /// Opens what `encodeState` and a checkpoint's arrays hold. `load` is called for every array that
  /// is not empty and must map or copy its bytes to the address it is handed, 2 MiB aligned.
  ///
  /// Costs nothing per record: no array is read; `prover` compares blocks with their hashes before
  /// they first change. Throws `.unknownVersion`, `.corruptState`, or what
  /// `load` throws.
  package convenience init(
    opening state: [UInt8], options: IndexOptions = IndexOptions(), prover: BlockProver? = nil,
    load: (_ name: String, _ lengthBytes: Int, _ base: UnsafeMutableRawPointer) throws -> Void
  ) throws {
    let stored = try StoredState(decoding: state, magic: Self.magic, version: Self.version)
    try self.init(parameters: stored.parameters, options: options)
    traversesRows.store(stored.usesRows, ordering: .releasing)
    self.prover = prover
    for (number, field) in stored.fields.enumerated() {
      add(try makeColumn(number: number, field: field))
    }
    let arrays = checkpointArrays
    guard arrays.map(\.name) == stored.arrays.map(\.name) else {
      throw IndexError.corruptState("the arrays are not those of such an index")
    }
    for (array, length) in zip(arrays, stored.arrays.map(\.lengthBytes)) {
      try array.adopt(lengthBytes: length, prover: prover) { base in
        try load(array.name, length, base)
      }
    }
    try install(stored)
  }

  private func install(_ stored: StoredState) throws(IndexError) {
    var perSlot = slotArrays
    for number in 0..<stored.fields.count {
      guard let column = columns[number] else { continue }
      perSlot.append(column.ids)
      column.entryCount.store(column.entries.count, ordering: .releasing)
    }
    guard stored.slotCount <= IndexArrays.slotLimit,
      perSlot.allSatisfy({ $0.count == stored.slotCount }),
      arrays.codes.count <= stored.slotCount
    else { throw .corruptState("an array does not have \(stored.slotCount) rows") }
    guard stored.graphCount <= stored.slotCount, stored.deadCount <= stored.slotCount,
      stored.entryPoint < max(1, stored.graphCount),
      stored.graphCount == 0 || stored.quantizer != nil,
      stored.absentCount + stored.freeCount <= stored.deadCount,
      stored.freeCount == 0
        ? stored.freeHead == IndexArrays.none
        : Int(stored.freeHead) < stored.graphCount,
      stored.freeExactRow == IndexArrays.none || Int(stored.freeExactRow) < arrays.exact.count,
      stored.freeKeyChunks.allSatisfy({ $0.map { Int($0) < arrays.keyBytes.count } ?? true })
    else { throw .corruptState("the counts contradict each other") }
    freeHead = stored.freeHead
    freeExactRow = stored.freeExactRow
    freeKeyChunks = stored.freeKeyChunks
    countReuse(from: stored.reuseSequence)
    if let quantizer = stored.quantizer {
      setQuantizer(quantizer, excessLimit: stored.excessLimit)
    }
    codeFit = stored.codeFit
    appliedLSN = stored.appliedLSN
    clippedCount = stored.clippedCount
    absentCount.store(stored.absentCount, ordering: .releasing)
    dataDigest = MultisetDigest(sum: stored.dataDigest)
    upperRowCount.store(arrays.upperLinks.count, ordering: .relaxed)
    graphCount.store(stored.graphCount, ordering: .releasing)
    entryPoint.store(stored.entryPoint, ordering: .releasing)
    slotCount.store(stored.slotCount, ordering: .releasing)
    freeCount.store(stored.freeCount, ordering: .releasing)
    deadCount.store(stored.deadCount, ordering: .releasing)
    publish(lsn: stored.publishedLSN)
  }
}

/// The small state, decoded and not yet compared with the arrays.
private struct StoredState {
  var parameters: IndexParameters
  var appliedLSN, publishedLSN: UInt64
  var slotCount, graphCount, entryPoint, deadCount, absentCount, freeCount: Int
  var freeHead, freeExactRow: UInt32
  var reuseSequence: UInt64
  var freeKeyChunks = [UInt64?](repeating: nil, count: IndexGeneration.keySizeCount)
  var clippedCount: UInt64
  var dataDigest: Digest
  var quantizer: Quantizer?
  var usesRows = false
  var excessLimit = Float.infinity
  var codeFit = CodeFit()
  var fields: [[UInt8]] = []
  var arrays: [(name: String, lengthBytes: Int)] = []

  init(decoding bytes: [UInt8], magic: UInt32, version: UInt16) throws(IndexError) {
    do {
      self = try bytes.withUnsafeBytes {
        try StoredState(reading: $0, magic: magic, version: version)
      }
    } catch IndexError.invalidParameter(let what) {
      throw .corruptState("parameters: \(what)")
    } catch let error as IndexError {
      throw error
    } catch {
      throw .corruptState("\(error)")
    }
  }

  private init(reading bytes: UnsafeRawBufferPointer, magic: UInt32, version: UInt16) throws {
    var reader = ByteReader(bytes)
    guard try reader.read(UInt32.self, "magic") == magic else {
      throw IndexError.corruptState("no index state begins with these bytes")
    }
    let found = try reader.read(UInt16.self, "version")
    // Versions 1 and 2 packed keys and values more tightly than they can be reused.
    guard found == version || found == IndexGeneration.versionWithoutFit else {
      throw IndexError.unknownVersion(found)
    }
    parameters = try IndexParameters(
      decoding: Array(try reader.readCounted(maximum: 1_024, "parameters")))
    func count(_ field: String) throws -> Int {
      let value = try reader.read(UInt64.self, field)
      guard value < 1 << 47 else { throw reader.failure(field) }
      return Int(value)
    }
    appliedLSN = try reader.read(UInt64.self, "applied LSN")
    publishedLSN = try reader.read(UInt64.self, "published LSN")
    slotCount = try count("slot count")
    graphCount = try count("graph count")
    entryPoint = try count("entry point")
    deadCount = try count("dead count")
    absentCount = try count("absent count")
    freeCount = try count("free count")
    freeHead = try reader.read(UInt32.self, "first free slot")
    freeExactRow = try reader.read(UInt32.self, "first free exact row")
    reuseSequence = try reader.read(UInt64.self, "reuse count")
    let chunks = try reader.read(UInt32.self, "free key sizes")
    for _ in 0..<chunks {
      let size = Int(try reader.read(UInt32.self, "free key size"))
      guard freeKeyChunks.indices.contains(size) else { throw reader.failure("free key size") }
      freeKeyChunks[size] = try reader.read(UInt64.self, "free key chunk")
    }
    clippedCount = try reader.read(UInt64.self, "clipped count")
    dataDigest = try reader.readDigest("data digest")
    switch try reader.read(UInt8.self, "quantiser flag") {
    case 0: quantizer = nil
    case 1: quantizer = try Quantizer(reading: &reader)
    default: throw reader.failure("quantiser flag")
    }
    if found == version {
      switch try reader.read(UInt8.self, "rows flag") {
      case 0: usesRows = false
      case 1: usesRows = quantizer != nil && parameters.metric != .hamming
      default: throw reader.failure("rows flag")
      }
      excessLimit = try reader.readFloat("excess limit")
      codeFit = try CodeFit(reading: &reader)
    }
    let columns = try reader.read(UInt32.self, "column count")
    guard columns <= Column.limit else { throw reader.failure("column count") }
    for _ in 0..<columns {
      let field = try reader.readCounted(maximum: Column.fieldLimitBytes, "column")
      fields.append(Array(field))
    }
    guard Set(fields).count == fields.count else { throw reader.failure("column") }
    let arrayCount = try reader.read(UInt32.self, "array count")
    guard arrayCount <= 256 else { throw reader.failure("array count") }
    for _ in 0..<arrayCount {
      let name = try reader.readString(maximum: 64, "array name")
      arrays.append((name, try count("array length")))
    }
    try reader.expectEnd("end of state")
  }
}
