import VecDBBytes
import VecDBFiles

/// The lock of a prune in a bucket: an object that says who prunes and for how long.
///
/// Each renewal is an object with the next number, made by exclusive create, so that two cannot both
/// have it. Its age is what the store's clock says, so that clocks of machines do not matter, and the
/// lease of a process that died ends by itself. The holder trusts its lease for a time by a clock of its
/// own, counted from before the renewal was sent, and others wait for longer than that.
///
/// Layout, little-endian: magic `VDBLEAS\0`, version u32, holder u128, duration in milliseconds u64,
/// u8 1 if it was given back, owner and process as counted texts, CRC-32C of all before u32.
final class BucketLease: FileLock {
  static let name = "prune.lock"
  private static let magic = Array("VDBLEAS\0".utf8)
  private static let version: UInt32 = 1
  private static let longestMilliseconds: UInt64 = 86_400_000

  struct Record: Equatable {
    var holder: UInt128
    var durationMilliseconds: UInt64
    var isReturned: Bool
    var owner: String
    /// See `ProcessIdentity`; empty if it is not known.
    var process: String
  }

  private struct State: Sendable {
    var number: UInt64
    var renewedMilliseconds: Int64
    var isOver = false
  }

  private let store: BucketStore
  private let owner: String
  private let holder = UInt128.random(in: 1...UInt128.max)
  private let state: Guarded<State>

  /// Throws `.locked`, naming the owner.
  init(_ store: BucketStore, owner: String) throws {
    self.store = store
    self.owner = owner
    try store.refresh([Self.name])
    let before = store.catalogue.withLock { $0[Self.name] }
    if let newest = before?.newest { try Self.requireOver(newest, store) }
    let number = (before?.newest.number ?? 0) + 1
    state = Guarded(
      State(number: number, renewedMilliseconds: store.options.uptimeMilliseconds()))
    guard try store.create(Self.name, number, record(isReturned: false)) else {
      throw Self.locked("another process", store, seconds: nil)
    }
    store.tidy(Self.name, before?.versions ?? [])
  }

  private static func requireOver(_ newest: BucketCatalogue.Version, _ store: BucketStore) throws {
    let place = store.place(name)
    let bytes: [UInt8]
    do { bytes = try store.get(name, maximumBytes: 4096) } catch let error as StoreError
      where error.kind == .notFound
    {
      // Given back or renewed just now.
      throw locked("another process", store, seconds: nil)
    }
    let found = try decode(bytes, at: place)
    guard !found.isReturned, !ProcessIdentity.hasEnded(found.process) else { return }
    let now = store.options.nowMilliseconds() + store.clockOffsetMilliseconds
    let end =
      newest.modifiedMilliseconds + Int64(found.durationMilliseconds)
      + store.options.leaseSlackMilliseconds
    guard now >= end else { throw locked(found.owner, store, seconds: (end - now) / 1_000 + 1) }
  }

  private static func locked(_ owner: String, _ store: BucketStore, seconds: Int64?) -> StoreError {
    StoreError(
      .locked, "a prune is running: \(owner)", at: store.place(name),
      remedy: seconds.map {
        "Wait until it has ended. If that process is gone, its lease ends in \($0) s."
      } ?? "Try again when it has ended.")
  }

  // MARK: Holding

  /// Renews the lease when it is time to. Throws `.locked` if it ended meanwhile: then nothing may be
  /// deleted any more.
  func check() throws {
    let duration = store.options.leaseMilliseconds
    let now = store.options.uptimeMilliseconds()
    let state = state.withLock { $0 }
    let age = now - state.renewedMilliseconds
    guard !state.isOver, age < duration else { throw lost() }
    guard age >= duration / 3 else { return }
    let isMine = try store.create(Self.name, state.number + 1, record(isReturned: false))
    self.state.withLock {
      $0.isOver = !isMine
      if isMine {
        $0.number += 1
        $0.renewedMilliseconds = now
      }
    }
    guard isMine else { throw lost() }
    store.tidy(Self.name, number: state.number)
  }

  private func lost() -> StoreError {
    state.withLock { $0.isOver = true }
    return StoreError(
      .locked, "the lease of this prune ended before the prune did", at: store.place(Self.name),
      remedy: "Prune again: what was done so far stands. The store or this machine is very slow.")
  }

  /// Leaves an object that says so: the numbers go on from it.
  func unlock() {
    let state = state.withLock { state in
      defer { state.isOver = true }
      return state
    }
    let age = store.options.uptimeMilliseconds() - state.renewedMilliseconds
    guard !state.isOver, age < store.options.leaseMilliseconds else { return }
    // If that fails, the lease ends by itself.
    guard let isMine = try? store.create(Self.name, state.number + 1, record(isReturned: true)),
      isMine
    else { return }
    store.tidy(Self.name, number: state.number)
  }

  // MARK: Bytes

  private func record(isReturned: Bool) -> [UInt8] {
    Self.encode(
      Record(
        holder: holder, durationMilliseconds: UInt64(max(0, store.options.leaseMilliseconds)),
        isReturned: isReturned, owner: String(owner.prefix(256)),
        process: store.options.process()))
  }

  static func encode(_ record: Record) -> [UInt8] {
    SealedRecord.encode(magic: magic, version: version) {
      $0.write(record.holder)
      $0.write(record.durationMilliseconds)
      $0.write(UInt8(record.isReturned ? 1 : 0))
      $0.write(counted: Array(record.owner.utf8))
      $0.write(counted: Array(record.process.utf8))
    }
  }

  static func decode(_ bytes: [UInt8], at place: String) throws -> Record {
    try SealedRecord.decode(
      bytes, magic: magic, versions: version...version, what: "lease of a prune", at: place
    ) { _, reader in
      let holder = try reader.read(UInt128.self, "holder")
      let duration = try reader.read(UInt64.self, "duration")
      guard duration <= longestMilliseconds else { throw reader.failure("duration") }
      let returned = try reader.read(UInt8.self, "whether it was given back")
      guard returned <= 1 else { throw reader.failure("whether it was given back") }
      let owner = try reader.readCounted(maximum: 1_024, "owner")
      let process = try reader.readCounted(maximum: 1_024, "process")
      return Record(
        holder: holder, durationMilliseconds: duration, isReturned: returned == 1,
        owner: String(decoding: owner, as: UTF8.self),
        process: String(decoding: process, as: UTF8.self))
    }
  }
}
