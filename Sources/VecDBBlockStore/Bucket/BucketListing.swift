import VecDBBytes
import VecDBFiles
import VecDBThreads

/// Lists all objects of a bucket.
struct BucketListing {
  private let bucket: any Bucket
  private let threads: Int

  /// So many pages are read one after the other before the rest is read in parts at the same time.
  /// Each part costs up to one page more.
  private static let pagesInTurn = 64

  init(_ bucket: any Bucket, threads: Int) {
    self.bucket = bucket
    self.threads = threads
  }

  func all(_ prefix: String) throws -> [BucketPage.Object] {
    var objects: [BucketPage.Object] = []
    var after: String?
    for _ in 0..<Self.pagesInTurn {
      let page = try bucket.list(prefix: prefix, after: after)
      try append(page, after: after, to: &objects)
      guard let next = page.next else { return objects }
      after = next
    }
    return try objects + rest(prefix, after: after ?? "")
  }

  /// A list that does not go forward would never end.
  private func append(
    _ page: BucketPage, after: String?, to objects: inout [BucketPage.Object]
  ) throws {
    objects += page.objects
    guard let next = page.next, let after,
      next.utf8.lexicographicallyPrecedes(after.utf8) || next == after
    else { return }
    throw StoreError(
      .inputOutput, "the store lists its objects without end", at: bucket.location,
      remedy: "Report this to whoever runs the store.")
  }

  /// Nearly all objects are blocks, whose names are evenly spread: each thread lists those that begin
  /// with one digit.
  private func rest(_ prefix: String, after: String) throws -> [BucketPage.Object] {
    let digits = "123456789abcdef".map { "blocks/\($0)" }.filter {
      $0.hasPrefix(prefix) && after.utf8.lexicographicallyPrecedes($0.utf8)
    }
    let starts = [after] + digits
    let found = Guarded(
      [Result<[BucketPage.Object], any Error>?](repeating: nil, count: starts.count))
    let next = Guarded(0)
    try LowPriorityThread.perform(min(threads, starts.count), yields: false) {
      while true {
        let index = next.withLock { next in
          next += 1
          return next - 1
        }
        guard index < starts.count else { return }
        let end = index + 1 < starts.count ? starts[index + 1] : nil
        let part = Result { try list(prefix, after: starts[index], before: end) }
        found.withLock { $0[index] = part }
      }
    }
    return try found.withLock { $0 }.flatMap { try $0?.get() ?? [] }
  }

  private func list(
    _ prefix: String, after start: String, before end: String?
  ) throws -> [BucketPage.Object] {
    var objects: [BucketPage.Object] = []
    var after = start
    while true {
      let page = try bucket.list(prefix: prefix, after: after)
      try append(page, after: after, to: &objects)
      if let end,
        let index = objects.firstIndex(where: { !$0.name.utf8.lexicographicallyPrecedes(end.utf8) })
      {
        // The object named like the border itself belongs to the part before it.
        let isBorder = objects[index].name == end
        return Array(objects[..<(isBorder ? index + 1 : index)])
      }
      guard let next = page.next else { return objects }
      after = next
    }
  }
}
