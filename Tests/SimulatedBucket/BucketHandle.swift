import VecDBBlockStore
import VecDBBytes
import VecDBFiles

/// A bucket as one process sees it: with its own counters, clock and misfortune.
package final class BucketHandle: Bucket {
  package struct Settings: Sendable {
    package var options = BucketStore.Options()
    /// The store's clock, in milliseconds since 1970.
    package var storeMilliseconds: @Sendable () -> Int64 = { MachineClock.nowMilliseconds() }
    /// Called before a request is carried out and after it; what it throws ends the request.
    package var before: @Sendable () throws -> Void = {}
    package var after: @Sendable () throws -> Void = {}
    /// Whether the reply to this create is lost, so that it is sent again.
    package var losesReply: @Sendable () -> Bool = { false }

    package init() {}
  }

  private let bucket: SimulatedBucket
  private let settings: Settings
  private let counts = Guarded(RequestCounts())

  package init(_ bucket: SimulatedBucket, _ settings: Settings = Settings()) {
    self.bucket = bucket
    self.settings = settings
  }

  package var location: String { bucket.address }
  package var requests: RequestCounts { counts.withLock { $0 } }
  package var options: BucketStore.Options { settings.options }
  package var clockOffsetMilliseconds: Int64 {
    settings.storeMilliseconds() - settings.options.nowMilliseconds()
  }

  private func request<Value>(
    _ count: (inout RequestCounts) -> Void, _ body: () throws -> Value
  ) throws -> Value {
    try settings.before()
    counts.withLock { count(&$0) }
    let value = try body()
    try settings.after()
    return value
  }

  package func list(prefix: String, after: String?) throws -> BucketPage {
    try request {
      $0.lists += 1
    } _: {
      bucket.list(prefix, after: after)
    }
  }

  package func get(_ name: String, maximumBytes: Int) throws -> [UInt8] {
    let bytes = try request {
      $0.gets += 1
    } _: {
      bucket.get(name)
    }
    guard let bytes else {
      throw StoreError(.notFound, "there is no such object", at: place(name))
    }
    guard bytes.count <= maximumBytes else {
      throw StoreError(.limitExceeded, "the object has \(bytes.count) bytes", at: place(name))
    }
    return bytes
  }

  package func create(_ name: String, _ bytes: [UInt8]) throws -> CreateOutcome {
    func put() throws -> Bool {
      try request {
        $0.puts += 1
        $0.bytesSent += bytes.count
      } _: {
        bucket.create(name, bytes, at: settings.storeMilliseconds())
      }
    }
    let first = try put()
    guard settings.losesReply() else { return first ? .created : .exists(mayBeOwn: false) }
    return try put() ? .created : .exists(mayBeOwn: true)
  }

  package func delete(_ name: String) throws -> Bool {
    try request {
      $0.deletes += 1
    } _: {
      bucket.delete(name)
    }
  }
}
