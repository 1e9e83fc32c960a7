import VecDBBytes
import VecDBFiles
import VecDBThreads

/// Objects of a repository in a bucket, so that few requests are needed.
///
/// One list tells what is there; nothing is asked of a single object before it is read. Nothing is put
/// in place of something else: see `BucketCatalogue`. So whoever deletes, deletes just the object
/// that it has seen, and never one that somebody put under the same name since.
///
/// What the list told grows old. Who depends on what others do asks for a new one by `refresh`; an
/// object that was listed and has gone is looked for once more under its name.
package final class BucketStore: ObjectStore {
  package struct Options: Sendable {
    /// How many requests are under way at the same time. With 1, all are made by the caller's thread.
    package var requestsAtOnce = 24
    /// How many bytes wait to be put.
    package var pendingBytes = 64 << 20
    /// How long a lease lasts that is not renewed.
    package var leaseMilliseconds: Int64 = 300_000
    /// How much longer others wait: longer than a request may be under way.
    package var leaseSlackMilliseconds: Int64 = 240_000
    /// A clock that never goes back and counts the time that the machine sleeps.
    package var uptimeMilliseconds: @Sendable () -> Int64 = { MachineClock.uptimeMilliseconds() }
    /// What a lease says of its holder; see `ProcessIdentity`.
    package var process: @Sendable () -> String = { ProcessIdentity.own }
    /// The time of day.
    package var nowMilliseconds: @Sendable () -> Int64 = { MachineClock.nowMilliseconds() }

    package init() {}
  }

  let bucket: any Bucket
  package let options: Options
  let catalogue = Guarded(BucketCatalogue())
  let puts: BucketPuts
  private let cache = Guarded(Cache())
  private let proof = Guarded(false)
  private let listedMilliseconds: Guarded<Int64>
  private let retained = Guarded<Set<String>>([])

  /// Bytes of objects that are small and asked for again; an object never changes.
  private struct Cache: Sendable {
    static let limitBytes = 32 << 20
    static let objectLimitBytes = 4 << 20
    var objects: [String: [UInt8]] = [:]
    var bytes = 0

    mutating func insert(_ name: String, _ content: [UInt8]) {
      guard content.count <= Self.objectLimitBytes, objects[name] == nil else { return }
      if bytes + content.count > Self.limitBytes {
        objects = [:]
        bytes = 0
      }
      objects[name] = content
      bytes += content.count
    }
  }

  /// What is read again and again, and takes the most time to read again.
  private static let cachedFolders = ["manifests/", "epochs/", "published/"]

  package init(_ bucket: any Bucket) {
    let options = bucket.options
    self.bucket = bucket
    self.options = options
    puts = BucketPuts(bucket, options)
    listedMilliseconds = Guarded(options.uptimeMilliseconds())
  }

  package var location: String { bucket.location }
  package func place(_ name: String) -> String { bucket.place(name) }
  package var isRemote: Bool { true }
  package var requestsAtOnce: Int { options.requestsAtOnce }
  package var requests: RequestCounts? { bucket.requests }
  package var clockOffsetMilliseconds: Int64 { bucket.clockOffsetMilliseconds }
  package var listAgeMilliseconds: Int64 {
    options.uptimeMilliseconds() - listedMilliseconds.withLock { $0 }
  }
  package var retainedObjects: Int { retained.withLock { $0.count } }

  // MARK: Listing

  private func load() throws {
    guard !catalogue.withLock({ $0.isLoaded }) else { return }
    try refresh([""])
  }

  package func refresh(_ prefixes: [String]) throws {
    for prefix in prefixes {
      let begun = options.uptimeMilliseconds()
      let since = catalogue.withLock { $0.step }
      let objects = try BucketListing(bucket, threads: options.requestsAtOnce).all(prefix)
      catalogue.withLock { $0.replace(prefix: prefix, since: since, with: objects) }
      if prefix.isEmpty { listedMilliseconds.withLock { $0 = begun } }
    }
  }

  package func info(_ name: String) throws -> FileInfo? {
    try load()
    guard let newest = catalogue.withLock({ $0[name]?.newest }) else { return nil }
    return FileInfo(
      sizeBytes: newest.sizeBytes, isDirectory: false,
      // Objects of one name have different times also within a second.
      modifiedMilliseconds: newest.modifiedMilliseconds &+ Int64(newest.number % 1_000))
  }

  package func names(in folder: String) throws -> [String] {
    try load()
    return catalogue.withLock { $0.names(in: folder) }
  }

  package func isEmptyPlace(but beginnings: [String]) throws -> Bool {
    try load()
    return catalogue.withLock { catalogue in
      var isEmpty = true
      catalogue.visit { name, _ in
        if !beginnings.contains(where: { name.hasPrefix($0) }) { isEmpty = false }
      }
      return isEmpty
    }
  }

  // MARK: Reading

  package func get(_ name: String, maximumBytes: Int) throws -> [UInt8] {
    try load()
    let number = catalogue.withLock { $0[name]?.newest.number ?? 0 }
    do { return try read(name, number, maximumBytes) } catch let error as StoreError
      where error.kind == .notFound
    {
      // Somebody has put a newer one, and taken this away.
      try refresh([name])
      guard let newer = catalogue.withLock({ $0[name]?.newest.number }), newer != number else {
        throw StoreError(
          .notFound, "an object is missing from the repository", at: place(name),
          remedy: Remedy.repository)
      }
      return try read(name, newer, maximumBytes)
    }
  }

  private func read(_ name: String, _ number: UInt64, _ maximumBytes: Int) throws -> [UInt8] {
    let physical = BucketCatalogue.physicalName(name, number)
    if let known = cache.withLock({ $0.objects[physical] }), known.count <= maximumBytes {
      return known
    }
    let bytes = try bucket.get(physical, maximumBytes: maximumBytes)
    remember(physical, bytes)
    return bytes
  }

  private func remember(_ physical: String, _ bytes: [UInt8]) {
    guard
      physical == RepositoryMarker.name || Self.cachedFolders.contains(where: physical.hasPrefix)
    else { return }
    cache.withLock { $0.insert(physical, bytes) }
  }

  // MARK: Writing

  package func create(_ name: String, _ bytes: [UInt8]) throws {
    try load()
    guard catalogue.withLock({ $0[name] }) == nil else { throw exists(name) }
    try requireConditions()
    guard try create(name, 0, bytes) else { throw exists(name) }
  }

  /// In place of another only for whoever asks by name: the object gets the next number. Throws
  /// `.alreadyExists` if somebody else put one of that number meanwhile; it is known then.
  package func replace(_ name: String, _ bytes: UnsafeRawBufferPointer) throws {
    try load()
    try requireConditions()
    let before = catalogue.withLock { $0[name] }
    let number = before.map { $0.newest.number + 1 } ?? 0
    guard try create(name, number, Array(bytes)) else {
      try refresh([name])
      throw exists(name)
    }
    guard Self.isList(name) else { return }
    tidy(name, before?.versions ?? [])
  }

  /// Takes away what nobody needs any more. Whoever may write and not delete goes on without.
  func tidy(_ name: String, _ versions: [BucketCatalogue.Version]) {
    for version in versions { tidy(name, number: version.number) }
  }

  func tidy(_ name: String, number: UInt64) {
    guard (try? delete(name, number)) == nil else { return }
    retained.withLock { _ = $0.insert(BucketCatalogue.physicalName(name, number)) }
  }

  /// Whether only the newest object of a name is ever needed, also by who has listed it before.
  private static func isList(_ name: String) -> Bool {
    !name.hasPrefix("blocks/") && !name.hasPrefix("deltas/") && !name.hasPrefix("log/")
  }

  /// False if there is another object of that name and number.
  func create(_ name: String, _ number: UInt64, _ bytes: [UInt8]) throws -> Bool {
    let physical = BucketCatalogue.physicalName(name, number)
    switch try bucket.create(physical, bytes) {
    case .created: break
    case .exists(let mayBeOwn):
      guard mayBeOwn, try holds(physical, bytes) else { return false }
    }
    noteCreated(name, number, bytes.count)
    remember(physical, bytes)
    return true
  }

  /// Whether an object is what this process wanted to put. A longer one is not.
  private func holds(_ physical: String, _ bytes: [UInt8]) throws -> Bool {
    do { return try bucket.get(physical, maximumBytes: bytes.count) == bytes } catch let error
      as StoreError where error.kind == .limitExceeded
    { return false }
  }

  func noteCreated(_ name: String, _ number: UInt64, _ sizeBytes: Int) {
    catalogue.withLock {
      $0.insert(
        name,
        BucketCatalogue.Version(
          number: number, sizeBytes: sizeBytes, modifiedMilliseconds: 0, step: 1))
    }
  }

  private func exists(_ name: String) -> StoreError {
    StoreError(.alreadyExists, "there is already an object of that name", at: place(name))
  }

  package func putLater(_ name: String, _ bytes: UnsafeRawBufferPointer) throws -> Bool {
    try load()
    try requireConditions()
    let number = catalogue.withLock { $0[name].map { $0.newest.number + 1 } ?? 0 }
    let content = Array(bytes)
    return try puts.put(name, sizeBytes: content.count) { [self] in
      // If it is there already, another backup was faster with the same content.
      _ = try bucket.create(BucketCatalogue.physicalName(name, number), content)
      noteCreated(name, number, content.count)
    }
  }

  package func isPending(_ name: String) -> Bool { puts.isPending(name) }

  package func flush(_ folders: [String]) throws { try puts.flush() }

  package func delete(_ name: String, durably: Bool) throws -> Bool {
    try load()
    guard let entry = catalogue.withLock({ $0[name] }) else {
      throw StoreError(.notFound, "there is no such object", at: place(name))
    }
    var isGone = true
    // The newest last, so that no older one ever takes its place.
    for version in entry.versions {
      guard isGone else { break }
      isGone = try delete(name, version.number)
    }
    return isGone
  }

  func delete(_ name: String, _ number: UInt64) throws -> Bool {
    let physical = BucketCatalogue.physicalName(name, number)
    guard try bucket.delete(physical) else {
      retained.withLock { _ = $0.insert(physical) }
      return false
    }
    catalogue.withLock { $0.remove(name, number: number) }
    return true
  }

  package func removeUnfinished(olderThanMilliseconds limit: Int64) throws -> Int {
    try load()
    var leftovers: [(name: String, number: UInt64)] = []
    catalogue.withLock { catalogue in
      catalogue.visit { name, entry in
        guard name != BucketLease.name else { return }
        for version in entry.versions.dropLast() { leftovers.append((name, version.number)) }
        let newest = entry.newest
        if name.hasPrefix(BucketProbe.prefix), newest.modifiedMilliseconds < limit {
          leftovers.append((name, newest.number))
        }
      }
    }
    var count = 0
    for (name, number) in leftovers where try delete(name, number) { count += 1 }
    return count
  }

  // MARK: What the store must do

  /// Proves, once, before the first write, that the store honours the one condition.
  func requireConditions() throws {
    guard !proof.withLock({ $0 }) else { return }
    let marker = catalogue.withLock { $0[RepositoryMarker.name] != nil }
    try BucketProbe(bucket).run(
      marker: marker ? try get(RepositoryMarker.name, maximumBytes: 4096) : nil)
    proof.withLock { $0 = true }
  }

  package func lock(_ name: String, owner: String) throws -> any FileLock {
    try load()
    try requireConditions()
    return try BucketLease(self, owner: owner)
  }
}
