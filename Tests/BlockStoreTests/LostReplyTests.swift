import Testing
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBSimulatedBucket

/// A store that carries a request out and whose reply is lost: the request is sent again, and meets
/// what the first one made.
@Suite struct LostReplyTests {
  private func store(_ bucket: SimulatedBucket, losing: Bool) -> BucketStore {
    var settings = BucketHandle.Settings()
    settings.losesReply = { losing }
    return BucketStore(BucketHandle(bucket, settings))
  }

  @Test func whatWasMadeByOneselfIsOnesOwn() throws {
    let bucket = SimulatedBucket("sim://lost")
    let store = store(bucket, losing: true)
    try store.create("epochs/1", [1, 2, 3])
    let next: [UInt8] = [4, 5]
    try next.withUnsafeBytes { try store.replace("epochs/1", $0) }
    #expect(try store.get("epochs/1", maximumBytes: 10) == next)
  }

  /// Of the same name, from somebody else, whose reply was not lost.
  @Test(arguments: [[9], [1, 2, 3, 4], [1, 2]] as [[UInt8]])
  func whatSomebodyElseMadeIsNot(bytes: [UInt8]) throws {
    let bucket = SimulatedBucket("sim://lost")
    let mine = store(bucket, losing: true)
    #expect(try mine.names(in: "epochs").isEmpty)
    try store(bucket, losing: false).create("epochs/1", bytes)
    do {
      try mine.create("epochs/1", [1, 2, 3])
      Issue.record("the name was given twice")
    } catch let error as StoreError { #expect(error.kind == .alreadyExists) }
  }
}
