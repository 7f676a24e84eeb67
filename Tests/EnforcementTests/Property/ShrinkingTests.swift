import RandomTestKit
import Testing

struct ShrinkingTests {
  @Test func onlyWhatAFailureNeedsIsLeft() async {
    let least = await Shrinking.of(Array(0..<32), failing: "all of them", within: .seconds(60)) { steps in
      steps.contains(5) && steps.contains(20) ? "\(steps)" : nil
    }
    #expect(least.steps == [5, 20] && least.failure == "[5, 20]")
  }

  @Test func whenTheTimeIsOverAllThatIsKnownIsLeft() async {
    let least = await Shrinking.of([1, 2, 3], failing: "all of them", within: .zero) { _ in "fewer" }
    #expect(least.steps == [1, 2, 3] && least.failure == "all of them")
  }
}
