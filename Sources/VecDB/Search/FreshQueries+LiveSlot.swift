import VecDBBytes
import VecDBIndex

extension FreshQueries {
  /// Draws a live slot, of `slots` if these are given; `state` is the generator's.
  static func liveSlot(
    _ index: IndexGeneration, _ view: ReadView, _ state: inout UInt64,
    among slots: Range<Int>? = nil
  ) -> UInt32? {
    let slots = slots ?? 0..<view.slotCount
    let start = Int(splitMix64(&state) % UInt64(max(1, slots.count)))
    for offset in 0..<slots.count {
      let slot = slots.lowerBound + (start + offset) % slots.count
      if index.isVisible(slot, in: view) { return UInt32(slot) }
    }
    return nil
  }
}
