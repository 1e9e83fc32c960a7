import VecDBBytes
import VecDBFiles

extension StoredRepository {
  private static let blocksFolder = "blocks"
  private static let deltasFolder = "deltas"

  private func blockName(_ stored: Digest) -> String { Self.blocksFolder + "/" + stored.hex }
  private func deltaName(_ stored: Digest) -> String { Self.deltasFolder + "/" + stored.hex }

  package func storedName(of hash: Digest) -> Digest { cipher?.name(of: hash) ?? hash }

  package func hasBlock(_ hash: Digest, lengthBytes: Int) throws -> Bool {
    let stored = storedName(of: hash)
    let block = blockName(stored)
    let delta = deltaName(stored)
    if store.isPending(block) || store.isPending(delta) { return true }
    if let info = try store.info(block) {
      return info.sizeBytes == lengthBytes + (cipher?.overheadBytes ?? 0)
    }
    return try store.info(delta) != nil
  }

  @discardableResult
  package func putBlock(_ hash: Digest, _ bytes: UnsafeRawBufferPointer) throws -> Bool {
    try putBlock(hash, bytes, basedOn: nil) > 0
  }

  package func putBlock(
    _ hash: Digest, _ bytes: UnsafeRawBufferPointer, basedOn base: Digest?
  ) throws -> Int {
    guard try !hasBlock(hash, lengthBytes: bytes.count) else { return 0 }
    let stored = storedName(of: hash)
    // A block of another length may be there, which `hasBlock` did not count: it must be replaced.
    if let base, base != hash, try store.info(blockName(stored)) == nil,
      let delta = try makeDelta(from: base, to: bytes)
    {
      return try delta.encode().withUnsafeBytes { try putLater(deltaName(stored), $0) }
    }
    return try putLater(blockName(stored), bytes)
  }

  /// Nil if the base is not there or damaged, or if the difference is not worth while.
  private func makeDelta(
    from base: Digest, to bytes: UnsafeRawBufferPointer
  ) throws -> BlockDelta? {
    do {
      let (old, depth, chainBytes) = try resolve(base)
      return BlockDelta(from: old, named: base, depth: depth, chainBytes: chainBytes, to: bytes)
    } catch let error as StoreError where error.kind == .notFound || error.kind == .corrupt {
      return nil
    }
  }

  package func synchronize() throws { try store.flush([Self.blocksFolder, Self.deltasFolder]) }

  // MARK: Reading

  package func getBlock(_ hash: Digest) throws -> [UInt8] {
    do { return try resolve(hash).bytes } catch let error as StoreError
      where error.kind == .notFound && store.isRemote
    {
      // It may be kept in another form since it was listed.
      let stored = storedName(of: hash)
      try store.refresh([blockName(stored), deltaName(stored)])
      return try resolve(hash).bytes
    }
  }

  package func bases(of hash: Digest) throws -> [Digest] {
    var chain: [Digest] = []
    var current = hash
    while let delta = try delta(of: current, above: chain.count) {
      current = delta.base
      chain.append(current)
    }
    return chain
  }

  /// The delta that a block is kept as; nil if it is kept in full. Throws `.notFound` if it is not
  /// there at all.
  private func delta(of hash: Digest, above: Int) throws -> BlockDelta? {
    let stored = storedName(of: hash)
    if try store.info(blockName(stored)) != nil { return nil }
    let name = deltaName(stored)
    guard try store.info(name) != nil else {
      throw StoreError(
        .notFound, "a block is missing from the repository", at: store.place(blockName(stored)),
        remedy: Remedy.repository)
    }
    guard above < BlockDelta.depthLimit else {
      throw StoreError(
        .corrupt, "a block is stored as a difference from itself", at: store.place(name),
        remedy: Remedy.repository)
    }
    return try BlockDelta(
      decoding: try get(name, maximumBytes: storedBlockLimitBytes), at: store.place(name))
  }

  /// The bytes of a block, compared with its hash, and how deep in deltas it lies.
  private func resolve(
    _ hash: Digest
  ) throws -> (bytes: [UInt8], depth: Int, chainBytes: Int) {
    var chain: [(hash: Digest, delta: BlockDelta)] = []
    var current = hash
    while let delta = try delta(of: current, above: chain.count) {
      chain.append((current, delta))
      current = delta.base
    }
    let name = blockName(storedName(of: current))
    var bytes = try get(name, maximumBytes: storedBlockLimitBytes)
    guard SHA256.hash(bytes) == current else {
      throw StoreError(
        .corrupt, "a block of \(bytes.count) bytes does not match its hash", at: store.place(name),
        remedy: Remedy.repository)
    }
    guard let first = chain.first else { return (bytes, 0, 0) }
    for (_, delta) in chain.reversed() {
      guard let next = delta.applied(to: bytes) else {
        throw damagedDelta(of: hash, "does not fit its base")
      }
      bytes = next
    }
    guard SHA256.hash(bytes) == hash else {
      throw damagedDelta(of: hash, "gives a block that does not match its hash")
    }
    return (bytes, first.delta.depth, first.delta.chainBytes)
  }

  private func damagedDelta(of hash: Digest, _ what: String) -> StoreError {
    StoreError(
      .corrupt, "the delta of a block \(what)", at: store.place(deltaName(storedName(of: hash))),
      remedy: Remedy.repository)
  }

  /// Checks the form in which a block is kept beside the one that is read, if there are two.
  package func checkSpareForm(of hash: Digest) throws {
    let stored = storedName(of: hash)
    let name = deltaName(stored)
    guard try store.info(name) != nil, try store.info(blockName(stored)) != nil else { return }
    _ = try BlockDelta(
      decoding: try get(name, maximumBytes: storedBlockLimitBytes), at: store.place(name))
  }

  // MARK: All blocks

  package func blocks() throws -> [Digest] {
    var all = Set<Digest>()
    for folder in [Self.blocksFolder, Self.deltasFolder] {
      all.formUnion(try store.names(in: folder).compactMap { Digest(hex: $0) })
    }
    return all.sorted()
  }

  @discardableResult
  package func deleteBlock(_ stored: Digest) throws -> Bool {
    var wasThere = false
    var isGone = true
    for name in [deltaName(stored), blockName(stored)] where try store.info(name) != nil {
      if try !store.delete(name, durably: false) { isGone = false }
      wasThere = true
    }
    guard wasThere else {
      throw StoreError(.notFound, "there is no such block", at: store.place(blockName(stored)))
    }
    return isGone
  }

  /// Size and time of a block under its stored name; nil if it is not there.
  package func blockInfo(_ stored: Digest) throws -> FileInfo? {
    try store.info(blockName(stored)) ?? store.info(deltaName(stored))
  }

  /// Writes a block again, in full, although it may be there: so that its time of modification
  /// shows that it is needed, or since what is there is damaged. Durable on return.
  package func renewBlock(_ hash: Digest, _ bytes: UnsafeRawBufferPointer) throws {
    let stored = storedName(of: hash)
    do { try replace(blockName(stored), bytes) } catch let error as StoreError
      where error.kind == .alreadyExists
    {
      // Another backup renewed it since this one has listed it.
      return
    }
    // A prune takes it away: somebody may be reading it.
    if store.isRemote { return }
    if try store.info(deltaName(stored)) != nil {
      try store.delete(deltaName(stored), durably: true)
    }
  }
}
