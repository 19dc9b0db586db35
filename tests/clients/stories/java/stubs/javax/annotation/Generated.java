package javax.annotation;

/** What generated code is marked with; the real one stands in a jar that we don't need. */
public @interface Generated {
    String[] value();

    String date() default "";

    String comments() default "";
}
